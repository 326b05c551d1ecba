//! Reports and lists beside a server whose file has got a mistake since it was started.

use super::harness::{GENEROUS, Ground, SECOND, wait_for};
use super::peers::phone;
use super::server::{DIRECT, Server, TIERLINE, Wishes};
use std::process::{Command, Output};

/// How it is called with further words.
type Way<'a> = &'a dyn Fn(&[&str]) -> Output;

/// What it prints, and what it says beside that.
fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_mistake_in_a_running_server_s_file_keeps_nobody_from_reports() {
    let ground = Ground::new("mistaken");
    let wishes = Wishes { queue: "target = \"33s\"\nshort_abandon = \"7s\"", ..Wishes::agents(&["ada"]) };
    let mut server = Server::start(&ground, &wishes);
    server.program.signal(libc::SIGTERM);
    assert_eq!(server.program.wait(GENEROUS), 0);
    let written = std::fs::read_to_string(&server.config).expect("its configuration");
    let file = server.config.clone();
    let write = |text: &str| std::fs::write(&file, text).expect("its configuration");
    let right = written.replacen("[center]\n", "[center]\ntime_zone = \"Asia/Tokyo\"\n", 1);
    write(&right);
    server.start_again();
    let mut caller = phone(&ground, &server, "caller", &["--dial", DIRECT, "--hang-up", "1"]);
    assert_eq!(caller.wait(20 * SECOND), 0);
    server.wait_ended(1, GENEROUS);
    let broken = right.replacen("wrap_up = \"0s\"", "wrap_up = \"soon\"", 1);
    assert_ne!(broken, right);
    write(&broken);

    let run = |words: &[&str], place: [&str; 2]| {
        let mut command = Command::new(TIERLINE);
        command.args(words).args(place).current_dir(ground.file("")).output().expect("tierline runs")
    };
    let (data, config) = (server.data.display().to_string(), file.display().to_string());
    // The file says that its data lies elsewhere: the server was started with `--data`.
    let of_data = |words: &[&str]| run(words, ["--data", &data]);
    let both = |words: &[&str]| of_data(&[words, &["--config", &config]].concat());
    let ways: [Way<'_>; 2] = [&of_data, &both];
    for output in ways {
        let report = wait_for("a report of the call", GENEROUS, || {
            let (text, said) = told(&output(&["report"]));
            text.contains("general").then_some((text, said))
        });
        let (text, said) = report;
        assert!(said.contains("the configuration has mistakes") && said.contains("soon"), "{said}");
        for part in [" in Asia/Tokyo\n", "T 33 s, short below 7 s, as in the running server\n", "+09:00  general  "] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
        let (text, said) = told(&output(&["report", "queue", "--only", "general"]));
        assert!(text.contains("general") && said.contains("mistakes"), "{text}{said}");
        let (text, said) = told(&output(&["report", "queue", "--only", "generl"]));
        assert!(text.ends_with("nothing in this time\n") && said.contains("whether it is configured"), "{text}{said}");
        let (text, said) = told(&output(&["calls", "--queue", "general"]));
        assert!(text.contains("ARRIVED (Asia/Tokyo)") && said.contains("mistakes"), "{text}{said}");
        // Who needs nothing of it is told nothing of it.
        let (text, said) = told(&output(&["report", "line", "--zone", "UTC"]));
        assert!(text.contains(" in UTC\n") && said.is_empty(), "{text}{said}");
    }
    // Where nobody runs there is nobody to know better.
    server.program.signal(libc::SIGTERM);
    assert_eq!(server.program.wait(GENEROUS), 0);
    let refused = both(&["report"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(told(&refused).1.contains("tierline.toml:"), "{refused:?}");
}
