//! Circles over several flows, in which a caller who presses nothing goes round for ever. Those within one flow are found
//! when it is read ([`crate::ivr::load`]).

use crate::ids::FlowId;
use crate::ivr::{Flow, Step};
use std::collections::{BTreeMap, BTreeSet};

type Flows = BTreeMap<FlowId, Flow>;
/// A step of a flow.
type Spot<'f> = (&'f FlowId, &'f str);

/// One circle, and the way between two flows that is in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle {
    pub from: FlowId,
    pub to: FlowId,
    pub message: String,
}

/// A walk in depth that meets a step it is still under.
pub fn circles(flows: &Flows) -> Vec<Circle> {
    let (mut found, mut done) = (Vec::new(), BTreeSet::new());
    for (id, flow) in flows {
        let first: Spot = (id, &flow.start);
        if !done.insert(first) {
            continue;
        }
        let (mut path, mut under) = (vec![(first, ways(flows, first).into_iter())], BTreeSet::from([first]));
        while let Some((spot, rest)) = path.last_mut() {
            match rest.next() {
                None => {
                    under.remove(spot);
                    path.pop();
                }
                Some(next) if under.contains(&next) => {
                    let circle = path.iter().map(|(spot, _)| *spot).skip_while(|spot| *spot != next);
                    found.extend(told(flows, &circle.collect::<Vec<_>>()));
                }
                Some(next) if done.insert(next) => {
                    under.insert(next);
                    path.push((next, ways(flows, next).into_iter()));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// Where a caller comes to from a step who presses nothing.
fn ways<'f>(flows: &'f Flows, (id, step): Spot<'f>) -> Vec<Spot<'f>> {
    match flows.get(id).and_then(|flow| flow.steps.get(step)) {
        Some(Step::Flow(other)) => {
            flows.get_key_value(other).map(|(id, flow)| (id, &*flow.start)).into_iter().collect()
        }
        Some(step) => step.unearned().into_iter().map(|to| (id, to)).collect(),
        None => Vec::new(),
    }
}

/// None for a circle that leads through no `flow` step.
fn told(flows: &Flows, circle: &[Spot<'_>]) -> Option<Circle> {
    let leads = |(id, step): &Spot<'_>| match flows.get(*id)?.steps.get(*step)? {
        Step::Flow(other) => Some(((*id).clone(), other.clone())),
        _ => None,
    };
    let (from, to) = circle.iter().rev().find_map(leads)?;
    let steps: Vec<String> = circle.iter().chain(circle.first()).map(|(id, step)| format!("{id}.{step}")).collect();
    let message = format!(
        "a caller who presses no key would go round for ever: {}; let one of these lead to a step outside",
        steps.join(" → ")
    );
    Some(Circle { from, to, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ivr::load::{Surroundings, load};

    fn flows(texts: &[(&str, &str)]) -> Flows {
        let around = Surroundings::with_queues(&["q"]);
        let read = texts.iter().map(|(id, text)| {
            let text = format!("version = 1\nstart = \"a\"\n{text}");
            let read = load(FlowId::new(id), "f.toml", &text, &around).unwrap_or_else(|told| panic!("{told:#?}"));
            (FlowId::new(id), read.flow)
        });
        read.collect()
    }

    #[test]
    fn circles_over_several_flows_are_found() {
        let check = |texts: &[(&str, &str)], expect: &[(&str, &str, &str)]| {
            let told = circles(&flows(texts));
            let told: Vec<_> = told.iter().map(|c| (c.from.as_str(), c.to.as_str(), c.message.as_str())).collect();
            assert_eq!(told.len(), expect.len(), "{told:#?}");
            for ((from, to, message), (f, t, part)) in told.iter().zip(expect) {
                assert!((from, to) == (f, t) && message.contains(part), "{message}");
            }
        };
        let flow = |to: &str| format!("[step.a]\nflow = \"{to}\"\n");
        let says = |to: &str| {
            format!("[step.a]\nplay = {{ text = \"x\", sound = \"x\" }}\nnext = \"b\"\n[step.b]\nflow = \"{to}\"\n")
        };
        check(&[("one", &flow("two")), ("two", &flow("one"))], &[("two", "one", "one.a → two.a → one.a;")]);
        check(&[("one", &flow("one"))], &[("one", "one", "one.a → one.a;")]);
        let three = [("one", &*says("two")), ("two", &says("three")), ("three", &says("one"))];
        check(&three, &[("three", "one", "one.a → one.b → two.a → two.b → three.a → three.b → one.a;")]);
        let menu = "[step.a]\nmenu = { text = \"m\", sound = \"m\" }\nkeys = { 1 = \"b\" }\notherwise = \"c\"\n\
                    [step.b]\nflow = \"one\"\n[step.c]\nhang_up = true\n";
        check(&[("one", &flow("two")), ("two", menu)], &[]);
        let queue = "[step.a]\nqueue = \"q\"\nfull = \"c\"\nrefused = \"c\"\ntimeout = \"b\"\n\
                     [step.b]\nflow = \"one\"\n[step.c]\nhang_up = true\n";
        check(&[("one", &flow("two")), ("two", queue)], &[]);
        let refused = queue.replace("refused = \"c\"", "refused = \"b\"");
        check(&[("one", &flow("two")), ("two", &refused)], &[("two", "one", "one.a → two.a → two.b → one.a;")]);
        check(&[("one", &flow("gone"))], &[]);
    }
}
