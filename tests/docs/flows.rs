//! Flows and settings that the guides show are put into a center and checked.

use super::{Place, TIERLINE, blocks, page};
use std::path::Path;
use std::process::Command;

/// The pages whose `toml` blocks are tried here.
pub const LOOKED_AT: [&str; 2] = ["docs/flows.md", "docs/planners.md"];

/// Steps of the other blocks, where this one has none of that name.
fn with_steps_of(mut flow: toml::Table, others: &[toml::Table]) -> toml::Table {
    for other in others {
        for (key, value) in other.iter().filter(|(key, _)| *key != "step") {
            flow.entry(key.clone()).or_insert(value.clone());
        }
        let steps = flow.entry("step").or_insert(toml::Table::new().into()).as_table_mut().expect("steps");
        for (name, step) in other.get("step").and_then(|steps| steps.as_table()).into_iter().flatten() {
            steps.entry(name.clone()).or_insert(step.clone());
        }
    }
    flow
}

/// A center in which the pieces of the planners' guide have what they lean on.
fn surroundings(settings: &[toml::Table]) -> toml::Table {
    let demo = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/tierline.toml"));
    let mut center: toml::Table = demo.expect("the demo").parse().expect("TOML");
    let carrier = "[trunk.carrier]\nserver = \"192.0.2.1\"\nallowed = [\"+49\"]\n[line.guide]\nnumbers = [\"300\"]\n\
                   flow = \"guide\"\n";
    for piece in settings.iter().chain([&carrier.parse().expect("TOML")]) {
        for (kind, tables) in piece {
            let all = center.entry(kind.clone()).or_insert(toml::Table::new().into()).as_table_mut().expect("a table");
            all.extend(tables.as_table().expect("a table").clone());
        }
    }
    center
}

/// Runs `tierline check` on this center, whose line 300 leads to this flow.
fn checked(place: &Place, center: &toml::Table, flow: &toml::Table) -> (bool, String) {
    std::fs::write(place.dir.join("guide.toml"), center.to_string()).expect("a configuration");
    std::fs::write(place.dir.join("ivr-flows/guide.toml"), flow.to_string()).expect("a flow");
    let check = Command::new(TIERLINE).args(["check", "--config", "guide.toml"]).current_dir(&place.dir).output();
    let check = check.expect("tierline runs");
    let said = [check.stdout.as_slice(), check.stderr.as_slice()].map(String::from_utf8_lossy).join("\n");
    (check.status.success(), said)
}

/// Steps that the guide names and does not show say goodbye.
const NOT_SHOWN: [&str; 4] = ["billing", "goodbye", "german", "late"];

/// Places like the demo's, whose flows may be written.
fn place_for_flows(name: &str) -> Place {
    let place = Place::new(name);
    std::fs::remove_file(place.dir.join("ivr-flows")).expect("a link");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows");
    std::fs::create_dir(place.dir.join("ivr-flows")).expect("a folder");
    std::os::unix::fs::symlink(shipped.join("sounds"), place.dir.join("ivr-flows/sounds")).expect("the sounds");
    for flow in ["support.toml", "desk.toml"] {
        std::fs::copy(shipped.join(flow), place.dir.join("ivr-flows").join(flow)).expect("a flow of the demo");
    }
    place
}

#[test]
fn the_planners_flows_and_settings_can_be_served() {
    let pieces = blocks(&page("docs/planners.md")).into_iter().filter(|(kind, _)| kind == "toml");
    let piece = |text: String| (text.parse::<toml::Table>().unwrap_or_else(|why| panic!("{why}:\n{text}")), text);
    let pieces: Vec<(toml::Table, String)> = pieces.map(|(_, text)| piece(text)).collect();
    let (flows, settings): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|(piece, _)| piece.contains_key("step") || piece.contains_key("person"));
    assert!(flows.len() >= 6 && !settings.is_empty(), "the guide shows little");
    let place = place_for_flows("planners-pieces");
    let settings: Vec<toml::Table> = settings.into_iter().map(|(piece, _)| piece).collect();
    let mut center = surroundings(&settings);
    let server = center["server"].as_table_mut().expect("a table");
    server.insert("flows".into(), "ivr-flows".into());
    let goodbye: Vec<String> = NOT_SHOWN.map(|name| format!("[step.{name}]\nhang_up = \"You are ready.\"\n")).into();
    let goodbye: toml::Table = goodbye.concat().parse().expect("TOML");
    let all: Vec<toml::Table> = flows.iter().map(|(flow, _)| flow.clone()).chain([goodbye]).collect();
    for (flow, text) in &flows {
        let mut whole = with_steps_of(flow.clone(), &all);
        let first = flow.get("step").and_then(|steps| steps.as_table()).and_then(|steps| steps.keys().next());
        if let (false, Some(first)) = (flow.contains_key("start"), first) {
            whole.insert("start".into(), first.clone().into());
        }
        let (served, said) = checked(&place, &center, &whole);
        assert!(served, "this cannot be served:\n{text}\n{said}");
    }
    let (served, said) = checked(&place, &center, &flows[0].0);
    assert!(served, "the first is said to be whole: {said}");
    // What is checked is read: a step that there is none of is told.
    let mut wrong = with_steps_of(flows[0].0.clone(), &all);
    wrong.insert("start".into(), "nowhere".into());
    assert!(!checked(&place, &center, &wrong).0);
}

/// A key that no step knows: whoever reads the step tells which keys it does know.
fn stranger(step: &str) -> String {
    format!("no-key-of-{step}")
}

/// The lines of a page's flow from a table's head to the next table.
fn lines_of<'t>(text: &'t str, head: &str) -> Vec<&'t str> {
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with('[')).collect()
}

#[test]
fn the_page_of_keys_is_a_flow_that_is_served_and_has_every_key() {
    let text = blocks(&page("docs/flows.md")).remove(0).1;
    let mut flow: toml::Table = text.parse().expect("TOML");
    let place = place_for_flows("keys-of-flows");
    let mut center = surroundings(&[]);
    center["server"].as_table_mut().expect("a table").insert("flows".into(), "ivr-flows".into());
    let (served, said) = checked(&place, &center, &flow);
    assert!(served && !said.contains("ivr-flows/guide.toml"), "{said}");
    let steps = flow["step"].as_table_mut().expect("steps");
    for (name, step) in steps.iter_mut() {
        step.as_table_mut().expect("a step").insert(stranger(name), true.into());
    }
    let tables: Vec<(String, String)> = steps.keys().map(|name| (name.clone(), format!("[step.{name}]"))).collect();
    let head = ("head".to_owned(), String::new());
    flow.insert(stranger(&head.0), true.into());
    flow["step"].as_table_mut().expect("steps").insert("kindless".to_owned(), toml::Table::new().into());
    let (_, said) = checked(&place, &center, &flow);
    let kinds = said.lines().find_map(|line| line.split_once("a step has one of ")?.1.split_once(';'));
    let (kinds, _) = kinds.unwrap_or_else(|| panic!("{said}"));
    for kind in kinds.split(',').map(str::trim) {
        assert!(text.lines().any(|line| line.starts_with(&format!("{kind} = "))), "docs/flows.md has no step `{kind}`");
    }
    for (name, table) in tables.into_iter().chain([head]) {
        let told = said.lines().find(|line| line.contains(&stranger(&name)));
        let (_, keys) = told.and_then(|line| line.split_once("allowed: ")).unwrap_or_else(|| panic!("{name}: {said}"));
        let shown = if table.is_empty() { text.lines().collect() } else { lines_of(&text, &table) };
        let begins =
            |line: &str, key: &str| [format!("{key} ="), format!("[{key}")].iter().any(|begin| line.starts_with(begin));
        let is_shown = |key: &str| shown.iter().any(|line| begins(line.trim_start_matches("# "), key));
        let missing: Vec<&str> = keys.split([',', ';']).map(str::trim).filter(|key| !is_shown(key)).collect();
        assert!(missing.is_empty(), "docs/flows.md lacks {missing:?} of {name}: {keys}");
    }
}
