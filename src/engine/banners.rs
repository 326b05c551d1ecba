//! Announcements that are switched on and off at once: a known outage, an evacuation.
//!
//! The configuration says whether one is on by itself; who switches it decides from then on, over restarts too.

use super::Engine;
use crate::center::Center;
use crate::command::Refusal;
use crate::event::What;
use std::collections::{BTreeMap, BTreeSet};

/// Those that are on, where some have been switched.
pub(super) fn on(center: &Center, switched: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let all = center.banners.iter();
    let on = all.filter(|(name, banner)| switched.get(*name).copied().unwrap_or(banner.on));
    on.map(|(name, _)| name.clone()).collect()
}

impl Engine {
    /// Announcements that are on.
    pub fn banners(&self) -> &BTreeSet<String> {
        &self.banners
    }

    pub(super) fn switch_banner(&mut self, banner: String, on: bool) -> Result<(), Refusal> {
        if !self.config.center.banners.contains_key(&banner) {
            return Err(Refusal::NoSuchBanner);
        }
        // Nothing is said of what was so before.
        if self.banners.contains(&banner) != on {
            self.restore_banner(banner.clone(), on);
            self.emit(None, What::BannerSwitched { banner, on });
        }
        Ok(())
    }

    /// As an earlier start left it: it is open in the log, and nothing is told again.
    pub(super) fn restore_banner(&mut self, banner: String, on: bool) {
        self.switched.insert(banner, on);
        self.banners = self::on(&self.config.center, &self.switched);
    }
}
