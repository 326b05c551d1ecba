//! What programs do by themselves: they look in, take what arrives, stop reading, lose their wire, come back.

use super::{AtDesktop, BETWEEN_LOOKS, FEW, LOOK, Looker, NOTICED};
use crate::command::Ask;
use crate::cti::Cursor;
use crate::proto::{Item, item};
use crate::sim::agenda::Due;
use crate::sim::{Check, World, people};
use std::time::Duration;

impl World {
    pub(super) fn looks_in(&mut self, of: Looker) {
        let Some(program) = self.desktops.programs.get_mut(&of).filter(|_| !self.desktops.steady) else { return };
        program.looks = true;
        self.desktop_connects(of);
        self.after(LOOK, Due::Desktop(of, AtDesktop::LooksAway));
    }

    /// The program is closed, and what it knew goes with it.
    pub(super) fn looks_away(&mut self, of: Looker) {
        let Some(program) = self.desktops.programs.get_mut(&of).filter(|_| !self.desktops.steady) else { return };
        (program.looks, program.reads, program.kept) = (false, true, None);
        program.owed.clear();
        let between = BETWEEN_LOOKS.mul_f64(f64::from(self.options.agents) / f64::from(FEW));
        let next = people::exponential(&mut program.rng, between);
        if let Some(stream) = program.stream.take() {
            self.wire_ends(stream, Duration::from_millis(5));
        }
        self.after(next, Due::Desktop(of, AtDesktop::LooksIn));
    }

    pub(super) fn desktop_gets(&mut self, of: Looker, stream: u32, item: Item) {
        let seen = &mut self.desktops.seen;
        let Some(program) = self.desktops.programs.get_mut(&of).filter(|it| it.stream == Some(stream)) else {
            return;
        };
        let cursor = Cursor::from_bytes(&item.cursor);
        let Some(at) = cursor else {
            self.tally.must(Check::ToldOnce, false, || "an item without a cursor".to_owned());
            return;
        };
        program.kept = cursor;
        if let Some(item::What::Event(event)) = item.what {
            seen.told += 1;
            seen.overseen += u64::from(of.agent().is_none());
            let owed = program.owed.pop_front();
            let right = owed.as_ref().is_some_and(|(seq, owed)| *seq == at.seq && **owed == event);
            self.tally
                .must(Check::ToldOnce, right, || format!("{of:?} is told {} {event:?}, and is owed {owed:?}", at.seq));
        }
        let next = program.owed.front().map(|(seq, _)| *seq);
        self.tally.must(Check::ToldOnce, next.is_none_or(|next| next > at.seq), || {
            format!("{of:?} stands at {}, and was not told {next:?}", at.seq)
        });
    }

    pub(super) fn desktop_sees_the_end(&mut self, of: Looker, stream: u32) {
        let Some(program) = self.desktops.programs.get_mut(&of).filter(|it| it.stream == Some(stream)) else {
            return;
        };
        program.stream = None;
        let again = people::exponential(&mut program.rng, Duration::from_secs(4));
        self.after(again, Due::Desktop(of, AtDesktop::Connects));
    }

    pub(super) fn desktop_reads(&mut self, of: Looker) {
        let Some(program) = self.desktops.programs.get_mut(&of) else { return };
        program.reads = true;
        program.stream.into_iter().for_each(|stream| self.hands_over(stream));
    }

    pub(super) fn desktop_trouble(&mut self, of: Looker) {
        let mean = self.options.desktop_trouble;
        let Some(program) = self.desktops.programs.get_mut(&of).filter(|_| !self.desktops.steady) else { return };
        let rng = &mut program.rng;
        let (next, what, slow) =
            (people::exponential(rng, mean), rng.below(6), Duration::from_millis(rng.below(NOTICED)));
        let away = people::exponential(rng, Duration::from_secs(12));
        let stream = program.stream;
        match (stream, what) {
            (Some(_), 0) => {
                program.reads = false;
                self.after(away * 3, Due::Desktop(of, AtDesktop::Reads));
            }
            (Some(stream), _) => {
                // The wire is cut, or the program is killed; with it may go what it has kept.
                let noticed = if what < 3 { slow } else { Duration::from_millis(5) };
                if what == 5 {
                    program.kept = None;
                }
                (program.stream, program.reads) = (None, true);
                self.wire_ends(stream, noticed);
                self.after(away, Due::Desktop(of, AtDesktop::Connects));
            }
            (None, _) => of.agent().into_iter().for_each(|agent| self.program_asks(agent, Ask::Ready { agent })),
        }
        self.after(next, Due::Desktop(of, AtDesktop::Trouble));
    }
}
