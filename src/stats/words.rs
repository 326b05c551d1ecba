//! Variants of enums as values of labels.

use std::fmt::Debug;

/// A variant's name as a label: `CallerHungUp` → `caller_hung_up`.
pub(super) fn snake(variant: &impl Debug) -> String {
    let mut label = String::new();
    for c in format!("{variant:?}").chars() {
        if c.is_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.extend(c.to_lowercase());
    }
    label
}
