//! Whether it is the ticketing system that answers, or something in its place.
//!
//! A server that leaves a method out says UNIMPLEMENTED, and so do a wrong program, one that is still being set up, and a
//! proxy whose way leads nowhere. What must arrive may be dropped for the first of these only: when another method was
//! answered over the present connection, and this one never was, over an earlier one neither.

use crate::ticketing::Failure;
use hyper_connect::client::legacy::connect::HttpConnector;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codegen::{Service, http::Uri};
use tonic::{Code, Status};

/// What is known of who is there.
#[derive(Debug, Default)]
pub(super) struct Proof {
    connections: AtomicU64,
    answered: Mutex<Answered>,
}

#[derive(Debug, Default)]
struct Answered {
    connection: u64,
    /// The methods that were answered over it.
    here: BTreeSet<&'static str>,
    /// Those that ever were: who took one once is not believed later to have left it out.
    ever: BTreeSet<&'static str>,
}

/// Counts the connections that it makes.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    http: HttpConnector,
    proof: Arc<Proof>,
}

impl Proof {
    /// The number of the present connection.
    pub fn connection(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// What an answer means to `method`, which was asked when `connection` was the present one.
    pub fn heard<T>(&self, connection: u64, method: &'static str, said: Result<T, Status>) -> Result<T, Failure> {
        let same = self.connection() == connection;
        let known = said.as_ref().map_or_else(|status| means_it(status.code()), |_| true);
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.connection != self.connection() {
            (answered.connection, answered.here) = (self.connection(), BTreeSet::new());
        }
        if known {
            answered.ever.insert(method);
        }
        if same && known {
            answered.here.insert(method);
        }
        let left_out = same && !answered.here.is_empty() && !answered.ever.contains(method);
        said.map_err(|status| failure(status.code(), method, left_out))
    }
}

/// What only the ticketing system itself can mean, of a request that it has read.
fn means_it(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition)
}

/// Whether who says this to a question that changes nothing is a ticketing system; it may have no use for the question.
pub(super) fn answers(code: Code) -> bool {
    means_it(code) || matches!(code, Code::Ok | Code::Unimplemented | Code::OutOfRange)
}

/// The proto file says which codes mean "never".
fn failure(code: Code, method: &str, left_out: bool) -> Failure {
    match code {
        code if means_it(code) => Failure::Never,
        // Also what tonic makes of an answer that is too long: it was done, and would be answered so again.
        Code::OutOfRange => Failure::Never,
        // Also what it makes of a proxy's 404.
        Code::Unimplemented if left_out || !matches!(method, "OpenTicket" | "FollowCall") => Failure::Never,
        Code::Unimplemented => Failure::NoMethod,
        _ => Failure::Later,
    }
}

impl Connector {
    /// As tonic's own.
    pub fn new(proof: Arc<Proof>, timeout: Duration) -> Connector {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        Connector { http, proof }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = <HttpConnector as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.http, context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.proof.connections.fetch_add(1, Ordering::SeqCst);
        Service::call(&mut self.http, uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [&str; 5] = ["FindCaller", "TicketStatus", "ScreenPop", "OpenTicket", "FollowCall"];

    /// Never is what the same answer comes to each time; of what must arrive, only what the ticketing system itself can mean.
    #[test]
    fn what_something_else_may_have_said_is_later() {
        let never =
            [Code::InvalidArgument, Code::NotFound, Code::AlreadyExists, Code::FailedPrecondition, Code::OutOfRange];
        for (code, method) in (0..=16).map(Code::from).flat_map(|code| METHODS.map(|method| (code, method))) {
            let may_be_lost = !["OpenTicket", "FollowCall"].contains(&method);
            let is_never = never.contains(&code) || code == Code::Unimplemented && may_be_lost;
            let expect = match code {
                _ if is_never => Failure::Never,
                Code::Unimplemented => Failure::NoMethod,
                _ => Failure::Later,
            };
            assert_eq!(failure(code, method, false), expect, "{code:?} of {method}");
            let left_out = is_never || code == Code::Unimplemented;
            assert_eq!(failure(code, method, true) == Failure::Never, left_out, "{code:?} of {method}");
        }
    }

    /// Another method must have been answered over the same connection, and this one never.
    #[test]
    fn a_method_is_left_out_by_who_answers_others() {
        let proof = Proof::default();
        let connect = || proof.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let missing = |connection| proof.heard::<()>(connection, "FollowCall", Err(Status::unimplemented("")));
        let first = connect();
        assert_eq!(missing(first), Err(Failure::NoMethod), "nothing is known of who that is");
        for code in [Code::Unavailable, Code::Unimplemented, Code::Unauthenticated, Code::Unknown] {
            _ = proof.heard::<()>(first, "ScreenPop", Err(Status::new(code, "")));
            assert_eq!(missing(first), Err(Failure::NoMethod), "{code:?} is no answer of its own");
        }
        assert_eq!(proof.heard(first, "ScreenPop", Ok(())), Ok(()));
        assert_eq!(missing(first), Err(Failure::Never));
        let second = connect();
        assert_eq!(missing(first), Err(Failure::NoMethod), "asked over one, answered over the other");
        assert_eq!(missing(second), Err(Failure::NoMethod), "somebody else may be there now");
        _ = proof.heard(first, "ScreenPop", Ok(()));
        assert_eq!(missing(second), Err(Failure::NoMethod));
        _ = proof.heard::<()>(second, "OpenTicket", Err(Status::not_found("")));
        assert_eq!(missing(second), Err(Failure::Never));
        assert_eq!(proof.heard(second, "FollowCall", Ok(())), Ok(()));
        assert_eq!(missing(second), Err(Failure::NoMethod), "who took it takes it: something stands between");
        let third = connect();
        _ = proof.heard(third, "FindCaller", Ok(()));
        assert_eq!(missing(third), Err(Failure::NoMethod), "also once it is started again and not all of it is there");
    }
}
