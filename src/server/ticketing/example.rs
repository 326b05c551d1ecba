//! A small ticketing system, to try things with and to read before writing a real one: tickets, screen-pops and
//! histories in SQLite. What came with a key that is known is answered as before and changes nothing. Its file holds who
//! called and what was noted: its owner alone may read it, and who asks from another machine needs a token.

use crate::proto::ticketing_server::{Ticketing, TicketingServer};
use crate::proto::{self, follow_call_request::What as Follow};
use crate::server::printing::say;
use crate::server::store::make_private;
use crate::server::wrong::{OrWrong, Wrong};
use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

/// What a ticket is, and what is remembered of calls.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS caller(number TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS ticket(id INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT, title TEXT, category TEXT,
        impact TEXT, urgency TEXT, status TEXT NOT NULL, keys TEXT, call TEXT, agent INTEGER);
    CREATE TABLE IF NOT EXISTS pop(id INTEGER PRIMARY KEY AUTOINCREMENT, agent INTEGER, call TEXT, text TEXT);
    CREATE TABLE IF NOT EXISTS history(id INTEGER PRIMARY KEY AUTOINCREMENT, call TEXT, ticket TEXT, text TEXT);
    CREATE TABLE IF NOT EXISTS level(ticket TEXT PRIMARY KEY, tier INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS told(key TEXT PRIMARY KEY, answer TEXT NOT NULL);
";

/// What an agent codes a call as that closes its ticket.
const SOLVED: &str = "solved";

/// Where a case goes that level 1 cannot solve: who calls about it again is at home there (`tier` of a ticket's status).
const LEVEL_2: &str = "queue level2";

/// The first ticket's number.
const FIRST: i64 = 1000;

/// Serves until Ctrl-C: whoever shows the first line of `token_file`, if there is one.
///
/// # Errors
/// The port, the file or the token cannot be had, or there is none where others come in.
pub fn serve(listen: SocketAddr, data: &Path, token_file: Option<&Path>) -> Result<()> {
    if !listen.ip().is_loopback() && token_file.is_none() {
        let why =
            format!("{listen} can be reached from outside: name a `--token-file` as well, or listen on 127.0.0.1");
        return Err(Wrong(why).into());
    }
    let door = Door(
        token_file
            .map(|file| super::token(file).map(|token| digest(token.as_encoded_bytes())).or_wrong())
            .transpose()?,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"));
        // Somebody must choose another one, or stop what listens there.
        let listener = listener.or_wrong()?;
        let example = Example::open(data)?;
        say!("tickets are kept in {}; Tierline finds them at http://{listen}", data.join("tickets.db").display());
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTION)
            .build_v1()?;
        let server = tonic::transport::Server::builder()
            .add_service(reflection)
            .add_service(TicketingServer::with_interceptor(example, move |request| door.lets_in(request)))
            .serve_with_incoming(incoming);
        tokio::select! {
            served = server => served.context("gRPC has ended"),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

/// Who may ask: whoever shows the token of this digest, or anybody.
#[derive(Clone)]
struct Door(Option<[u8; 32]>);

impl Door {
    fn lets_in(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get("authorization").map(|shown| digest(shown.as_encoded_bytes()));
        match self.0 {
            Some(_) if shown != self.0 => Err(Status::unauthenticated("`authorization` is not what it should be")),
            _ => Ok(request),
        }
    }
}

/// Digests are compared: how long that takes says nothing of the token.
fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[derive(Clone)]
struct Example(Arc<Mutex<Connection>>);

impl Example {
    fn open(data: &Path) -> Result<Example> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
        made.with_context(|| format!("cannot make {}", data.display())).or_wrong_unless_passing()?;
        let file = data.join("tickets.db");
        make_private(&file).with_context(|| format!("cannot make {}", file.display()))?;
        let conn = Connection::open(file)?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.execute_batch(TABLES)?;
        let begin = "INSERT OR IGNORE INTO sqlite_sequence(name, seq)
                     SELECT 'ticket', ?1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'ticket')";
        conn.execute(begin, [FIRST])?;
        Ok(Example(Arc::new(Mutex::new(conn))))
    }

    /// Does `change` once for `key`, and gives the same answer again.
    fn once(&self, key: &str, change: impl Fn(&Connection) -> rusqlite::Result<String>) -> Result<String, Status> {
        let mut conn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = || {
            let tx = conn.transaction()?;
            let known = tx.query_row("SELECT answer FROM told WHERE key = ?1", [key], |row| row.get(0)).optional()?;
            if let Some(answer) = known {
                return Ok(answer);
            }
            let answer = change(&tx)?;
            tx.execute("INSERT INTO told VALUES (?1, ?2)", params![key, answer])?;
            tx.commit()?;
            Ok(answer)
        };
        done().map_err(|why: rusqlite::Error| Status::unavailable(format!("the file of tickets: {why}")))
    }

    fn look<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Status> {
        let conn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(&conn).map_err(|why| Status::unavailable(format!("the file of tickets: {why}")))
    }
}

#[tonic::async_trait]
impl Ticketing for Example {
    async fn find_caller(
        &self,
        request: Request<proto::FindCallerRequest>,
    ) -> Result<Response<proto::FindCallerResponse>, Status> {
        let number = request.into_inner().number;
        self.look(|conn| {
            let name = conn.query_row("SELECT name FROM caller WHERE number = ?1", [&number], |row| row.get(0));
            let sql = "SELECT id, title, status FROM ticket WHERE number = ?1 AND number <> '' AND status <> 'closed'
                       ORDER BY id DESC LIMIT 10";
            let mut query = conn.prepare(sql)?;
            let tickets = query.query_map([&number], |row| {
                Ok(proto::Ticket { number: row.get::<_, i64>(0)?.to_string(), title: row.get(1)?, status: row.get(2)? })
            })?;
            let (name, tickets) = (name.optional()?.unwrap_or_default(), tickets.collect::<rusqlite::Result<_>>()?);
            Ok(Response::new(proto::FindCallerResponse { name, tickets }))
        })
    }

    async fn open_ticket(
        &self,
        request: Request<proto::OpenTicketRequest>,
    ) -> Result<Response<proto::OpenTicketResponse>, Status> {
        let it = request.into_inner();
        let ticket = self.once(&it.key, |conn| {
            let sql = "INSERT INTO ticket(number, title, category, impact, urgency, status, keys, call, agent)
                       VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?7, ?8)";
            let title = if it.summary.is_empty() { "a call" } else { &it.summary };
            let values = params![it.number, title, it.category, it.impact, it.urgency, it.keys, it.call, it.agent];
            conn.execute(sql, values)?;
            let id = conn.last_insert_rowid();
            if let Some(name) = it.data.get("name").filter(|_| !it.number.is_empty()) {
                conn.execute("INSERT OR REPLACE INTO caller VALUES (?1, ?2)", params![it.number, name])?;
            }
            Ok(id.to_string())
        })?;
        // Who calls, and what was said, is for the file: whoever looks at this terminal need not know.
        say!("ticket {ticket} opened for {}", it.call);
        Ok(Response::new(proto::OpenTicketResponse { ticket }))
    }

    async fn screen_pop(
        &self,
        request: Request<proto::ScreenPopRequest>,
    ) -> Result<Response<proto::ScreenPopResponse>, Status> {
        let it = request.into_inner();
        let who = if it.name.is_empty() { &it.number } else { &it.name };
        let data: Vec<String> = it.data.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let tickets: Vec<&str> = it.tickets.iter().map(|ticket| ticket.number.as_str()).collect();
        let text = format!("{who} on {}; tickets {}; {}", it.line, tickets.join(" "), data.join(" "));
        self.once(&it.key, |conn| {
            let sql = "INSERT INTO pop(agent, call, text) VALUES (?1, ?2, ?3)";
            conn.execute(sql, params![it.agent, it.call, text])?;
            Ok(String::new())
        })?;
        say!("agent {}: a screen-pop for {} with {} tickets", it.agent, it.call, tickets.len());
        Ok(Response::new(proto::ScreenPopResponse {}))
    }

    async fn follow_call(
        &self,
        request: Request<proto::FollowCallRequest>,
    ) -> Result<Response<proto::FollowCallResponse>, Status> {
        let it = request.into_inner();
        let solved = matches!(&it.what, Some(Follow::Disposed(it)) if it.disposition == SOLVED);
        let to_level_2 = matches!(&it.what, Some(Follow::Transferred(it)) if it.to == LEVEL_2);
        let text = match it.what {
            Some(Follow::Answered(it)) => format!("answered by {} after {} ms", it.agent, it.waited_ms),
            Some(Follow::Transferred(it)) => format!("{} sent it on to {}", it.agent, it.to),
            Some(Follow::Attached(it)) => format!("{} noted {}: {}", it.agent, it.name, it.value),
            Some(Follow::Disposed(it)) => format!("{} coded it as {}: {}", it.agent, it.disposition, it.notes),
            Some(Follow::Ended(it)) => format!("ended: {}", it.why),
            None => return Err(Status::invalid_argument("nothing is told")),
        };
        self.once(&it.key, |conn| {
            let sql = "INSERT INTO history(call, ticket, text) VALUES (?1, ?2, ?3)";
            conn.execute(sql, params![it.call, it.ticket, text])?;
            if solved {
                conn.execute("UPDATE ticket SET status = 'closed' WHERE id = ?1", [&it.ticket])?;
            }
            if to_level_2 {
                conn.execute("INSERT OR REPLACE INTO level VALUES (?1, 2)", [&it.ticket])?;
            }
            Ok(String::new())
        })?;
        Ok(Response::new(proto::FollowCallResponse {}))
    }

    async fn ticket_status(
        &self,
        request: Request<proto::TicketStatusRequest>,
    ) -> Result<Response<proto::TicketStatusResponse>, Status> {
        let it = request.into_inner();
        // A ticket is told to nobody but the one who called about it; who withholds his number is nobody.
        let sql = "SELECT status, coalesce((SELECT tier FROM level WHERE level.ticket = ticket.id), 1) FROM ticket
                   WHERE id = ?1 AND number = ?2 AND number <> ''";
        let found: Option<(String, i64)> = self.look(|conn| {
            let row = conn.query_row(sql, [&it.ticket, &it.number], |row| Ok((row.get(0)?, row.get(1)?)));
            row.optional()
        })?;
        let Some((status, tier)) = found else { return Ok(Response::new(proto::TicketStatusResponse::default())) };
        let text = format!("Your ticket is {status}.");
        let fields = [("tier".to_owned(), tier.to_string())].into();
        Ok(Response::new(proto::TicketStatusResponse { found: true, status, text, fields }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it does, without a network.
    struct Desk {
        example: Example,
        runtime: tokio::runtime::Runtime,
        dir: std::path::PathBuf,
    }

    impl Desk {
        fn new(name: &str) -> Desk {
            let dir = std::env::temp_dir().join(format!("tierline-example-{}-{name}", std::process::id()));
            _ = std::fs::remove_dir_all(&dir);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            Desk { example: Example::open(&dir).unwrap(), runtime, dir }
        }

        fn open(&self, key: &str, number: &str) -> String {
            let request = proto::OpenTicketRequest { key: key.into(), number: number.into(), ..Default::default() };
            let opened = self.runtime.block_on(self.example.open_ticket(Request::new(request)));
            opened.unwrap().into_inner().ticket
        }

        fn disposed(&self, key: &str, ticket: &str, disposition: &str, notes: &str) {
            let (disposition, notes) = (disposition.to_owned(), notes.to_owned());
            self.follows(key, ticket, Follow::Disposed(proto::FollowDisposed { agent: 1, disposition, notes }));
        }

        fn follows(&self, key: &str, ticket: &str, what: Follow) {
            let (ticket, what) = (ticket.to_owned(), Some(what));
            let request = proto::FollowCallRequest { key: key.into(), ticket, what, ..Default::default() };
            self.runtime.block_on(self.example.follow_call(Request::new(request))).unwrap();
        }

        fn asked(&self, ticket: &str, number: &str) -> proto::TicketStatusResponse {
            let request = proto::TicketStatusRequest { ticket: ticket.into(), number: number.into() };
            self.runtime.block_on(self.example.ticket_status(Request::new(request))).unwrap().into_inner()
        }

        fn status(&self, ticket: &str, number: &str) -> Option<String> {
            let answer = self.asked(ticket, number);
            answer.found.then_some(answer.status)
        }
    }

    impl Drop for Desk {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.dir);
        }
    }

    /// Who called and what was noted is for the owner alone, also in a file that an earlier version made.
    #[test]
    fn nobody_else_on_the_machine_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let desk = Desk::new("private");
        desk.open("open-1", "+4930123");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let files = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>();
        assert_eq!(mode(&desk.dir), 0o700);
        let open = files(&desk.dir);
        assert!(open.len() > 1 && open.iter().all(|file| mode(file) == 0o600), "{open:?}");
        std::fs::set_permissions(desk.dir.join("tickets.db"), PermissionsExt::from_mode(0o644)).unwrap();
        Example::open(&desk.dir).unwrap();
        assert_eq!(mode(&desk.dir.join("tickets.db")), 0o600);
    }

    #[test]
    fn who_shows_another_token_or_none_is_not_let_in() {
        let asks = |token: Option<&str>| {
            let mut request = Request::new(());
            token
                .into_iter()
                .for_each(|token| _ = request.metadata_mut().insert("authorization", token.parse().unwrap()));
            request
        };
        let rows = [(Some("Bearer right"), true), (Some("Bearer wrong"), false), (Some("right"), false), (None, false)];
        let door = Door(Some(digest(b"Bearer right")));
        for (shown, expect) in rows {
            assert_eq!(door.lets_in(asks(shown)).is_ok(), expect, "{shown:?}");
            assert!(Door(None).lets_in(asks(shown)).is_ok());
        }
        let outside = serve("0.0.0.0:0".parse().unwrap(), Path::new("nowhere"), None).unwrap_err();
        assert!(outside.to_string().contains("--token-file"), "{outside}");
    }

    #[test]
    fn a_ticket_is_closed_by_the_outcome_and_not_by_what_the_notes_say() {
        let desk = Desk::new("closed");
        let ticket = desk.open("open-1", "+4930123");
        assert_eq!(desk.open("open-1", "+4930123"), ticket, "once for a key");
        desk.disposed("follow-1", &ticket, "callback", "coded it as solved: not at all");
        assert_eq!(desk.status(&ticket, "+4930123").as_deref(), Some("open"));
        desk.disposed("follow-2", &ticket, "solved", "");
        assert_eq!(desk.status(&ticket, "+4930123").as_deref(), Some("closed"));
        let find = proto::FindCallerRequest { number: "+4930123".into(), ..Default::default() };
        let found = desk.runtime.block_on(desk.example.find_caller(Request::new(find))).unwrap().into_inner();
        assert_eq!(found.tickets, [], "what is closed is not shown any more");
    }

    #[test]
    fn a_ticket_that_was_sent_to_level_2_is_of_tier_2() {
        let desk = Desk::new("tier");
        let (ticket, other) = (desk.open("open-1", "+4930123"), desk.open("open-2", "+4930123"));
        for (key, to) in [("follow-1", "queue level1"), ("follow-2", "queue level2"), ("follow-3", "agent 1002")] {
            desk.follows(key, &ticket, Follow::Transferred(proto::FollowTransferred { agent: 1, to: to.into() }));
        }
        let tier = |ticket: &str| desk.asked(ticket, "+4930123").fields["tier"].clone();
        assert_eq!((tier(&ticket), tier(&other)), ("2".to_owned(), "1".to_owned()));
    }

    #[test]
    fn a_ticket_s_status_is_told_to_its_owner_only() {
        let desk = Desk::new("owner");
        let (ticket, anonymous) = (desk.open("open-1", "+4930123"), desk.open("open-2", ""));
        assert_eq!(desk.status(&ticket, "+4930123").as_deref(), Some("open"));
        assert_eq!(desk.status(&ticket, "+4930999"), None);
        assert_eq!(desk.status(&ticket, ""), None);
        assert_eq!(desk.status(&anonymous, ""), None, "whoever withholds his number");
    }
}
