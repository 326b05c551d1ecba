//! A snapshot in messages that every client takes: a library's usual limit for one is 4 MiB.

use crate::proto::{CallView, Item, Snapshot, item};
use prost::Message;

/// Bytes of the calls in one part, unless one call alone has more.
const PART: usize = 1 << 20;

/// The items of a snapshot: the last has the cursor, the first what is not about calls, and each whose it is.
pub fn in_parts(mut whole: Snapshot, cursor: Vec<u8>) -> Vec<Item> {
    let (agent, role) = (whole.agent, whole.role);
    let mut calls = std::mem::take(&mut whole.calls).into_iter().peekable();
    let mut items = Vec::new();
    loop {
        let (mut part, mut bytes) = (Snapshot { agent, role, ..std::mem::take(&mut whole) }, 0);
        while let Some(call) = calls.next_if(|call| part.calls.is_empty() || bytes + size(call) <= PART) {
            bytes += size(&call);
            part.calls.push(call);
        }
        part.more = calls.peek().is_some();
        let (last, what) = (!part.more, Some(item::What::Snapshot(part)));
        items.push(Item { cursor: if last { cursor.clone() } else { Vec::new() }, what });
        if last {
            return items;
        }
    }
}

fn size(call: &CallView) -> usize {
    call.encoded_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_larger_than_clients_take_and_no_call_is_lost() {
        let call =
            |n: usize, bytes| CallView { call: format!("c{n}"), caller: "x".repeat(bytes), ..CallView::default() };
        // Calls, the bytes of each, parts.
        for (calls, bytes, expect) in [(0, 0, 1), (1, 10, 1), (9, 10, 1), (40, PART / 10, 5), (3, 2 * PART, 3)] {
            let calls: Vec<_> = (0..calls).map(|n| call(n, bytes)).collect();
            let whole =
                Snapshot { agent: 7, banners: vec!["outage".into()], calls: calls.clone(), ..Snapshot::default() };
            let items = in_parts(whole, vec![1, 2]);
            let parts: Vec<&Snapshot> = items
                .iter()
                .map(|item| match &item.what {
                    Some(item::What::Snapshot(part)) => part,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(parts.len(), expect, "{} calls of {bytes} bytes", calls.len());
            assert!(parts.iter().all(|part| part.encoded_len() < 3 << 20));
            assert_eq!(parts.iter().flat_map(|part| part.calls.clone()).collect::<Vec<_>>(), calls);
            assert!(parts.iter().all(|part| part.agent == 7) && parts[0].banners.len() == 1);
            let (last, before) = items.split_last().unwrap();
            assert!(last.cursor == [1, 2] && !parts[expect - 1].more, "who has the cursor has all of it");
            assert!(before.iter().all(|item| item.cursor.is_empty()));
            assert!(parts[..expect - 1].iter().all(|part| part.more && !part.calls.is_empty()));
        }
    }
}
