//! Maps written down as lists of pairs, for keys that are no text: JSON allows only text there.
//!
//! Use: `#[serde(with = "pairs")]` on a `BTreeMap`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(map)
}

pub fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Table {
        #[serde(with = "super")]
        rows: BTreeMap<(u8, String), bool>,
    }

    #[test]
    fn keys_of_any_kind_are_written_and_read() {
        let table = Table { rows: BTreeMap::from([((1, "a".to_owned()), true), ((0, String::new()), false)]) };
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(text, r#"{"rows":[[[0,""],false],[[1,"a"],true]]}"#);
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
    }
}
