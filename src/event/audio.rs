//! How a leg's audio was, in numbers and in words.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One leg's audio, from when its port was opened until it was closed: RTP packets, and what both sides' reports say
/// (RFC 3550 §6). What is zero is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// What was agreed on last, by its name in SDP, such as `PCMU`.
    pub codec: String,
    /// Over SRTP, in the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encrypted: bool,
    /// Taken from the party, and sent to it.
    pub packets_in: u64,
    pub packets_out: u64,
    /// Datagrams that came and were not used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dropped: u64,
    /// What the party's sequence numbers say that it sent, and that never came.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter_ms: u32,
    /// To the party and back, as it was last told; none if it never was.
    #[serde(default, skip_serializing_if = "is_default")]
    pub round_trip_us: Option<u32>,
    /// What the party last said that it had lost of ours, and its jitter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub peer_lost: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub peer_jitter_ms: u32,
    /// Frames of 20 ms toward the party in which something of the other one had to be made up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concealed: u64,
    /// For 10 s at least we sent, and the party, which should have, did not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub one_way: bool,
    /// How long nothing had come when it was closed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub quiet_ms: u32,
}

/// Between two packets may lie so much, of one who sends nothing while he says nothing: it is no news.
const QUIET_MS: u32 = 5_000;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl fmt::Display for Audio {
    /// `heard 1,204 packets of PCMU, 0.3 % lost, jitter 4 ms, round trip 22 ms; sent 1,210`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = format!("of {}{}", self.codec, if self.encrypted { " (SRTP)" } else { "" });
        match (self.packets_in, self.packets_out) {
            (0, 0) => return write!(f, "no audio came or went"),
            (0, _) => write!(f, "one-way audio: heard nothing; sent {}", packets(self.packets_out, &of))?,
            (heard, 0) => {
                self.heard(f, heard, &of)?;
                write!(f, "; one-way audio: sent nothing")?;
            }
            (heard, sent) => {
                self.heard(f, heard, &of)?;
                write!(f, "; sent {}", grouped(sent))?;
            }
        }
        if self.peer_lost > 0 {
            write!(f, ", and {} of them did not arrive", grouped(self.peer_lost.into()))?;
        }
        match self.quiet_ms {
            ms @ QUIET_MS.. if self.packets_in > 0 => write!(f, "; nothing came in the last {} s", ms / 1000)?,
            _ if self.one_way && self.packets_in > 0 => write!(f, "; one-way audio for 10 s or longer")?,
            _ => {}
        }
        Ok(())
    }
}

impl Audio {
    fn heard(&self, f: &mut fmt::Formatter<'_>, heard: u64, of: &str) -> fmt::Result {
        write!(f, "heard {}, ", packets(heard, of))?;
        match self.lost {
            0 => write!(f, "none lost")?,
            lost => write!(f, "{:.1} % lost", 100.0 * lost as f64 / (heard + lost) as f64)?,
        }
        write!(f, ", jitter {} ms", self.jitter_ms)?;
        self.round_trip_us.map_or(Ok(()), |us| write!(f, ", round trip {} ms", us.div_ceil(1000)))
    }
}

fn packets(count: u64, of: &str) -> String {
    format!("{} packet{} {of}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `1,204`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let apart = |at: usize| if at > 0 && (digits.len() - at).is_multiple_of(3) { "," } else { "" };
    digits.char_indices().map(|(at, digit)| format!("{}{digit}", apart(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_told_in_words() {
        let audio = |packets_in, packets_out| Audio {
            codec: "PCMU".to_owned(),
            packets_in,
            packets_out,
            jitter_ms: 4,
            ..Audio::default()
        };
        let good = Audio { lost: 4, round_trip_us: Some(21_400), ..audio(1_204, 1_210) };
        let rows = [
            (good.clone(), "heard 1,204 packets of PCMU, 0.3 % lost, jitter 4 ms, round trip 22 ms; sent 1,210"),
            (
                Audio { encrypted: true, peer_lost: 12, ..audio(1_000_000, 999) },
                "heard 1,000,000 packets of PCMU (SRTP), none lost, jitter 4 ms; sent 999, and 12 of them did not arrive",
            ),
            (audio(0, 0), "no audio came or went"),
            (Audio { quiet_ms: 31_000, ..audio(0, 1) }, "one-way audio: heard nothing; sent 1 packet of PCMU"),
            (audio(50, 0), "heard 50 packets of PCMU, none lost, jitter 4 ms; one-way audio: sent nothing"),
            (
                Audio { quiet_ms: 31_900, one_way: true, ..audio(50, 1_650) },
                "heard 50 packets of PCMU, none lost, jitter 4 ms; sent 1,650; nothing came in the last 31 s",
            ),
            (
                Audio { quiet_ms: 4_999, one_way: true, ..audio(50, 700) },
                "heard 50 packets of PCMU, none lost, jitter 4 ms; sent 700; one-way audio for 10 s or longer",
            ),
        ];
        for (audio, expect) in rows {
            assert_eq!(audio.to_string(), expect);
            assert_eq!(serde_json::from_str::<Audio>(&serde_json::to_string(&audio).unwrap()).unwrap(), audio);
        }
        let line = serde_json::to_string(&Audio { codec: "PCMA".into(), ..Audio::default() }).unwrap();
        assert_eq!(line, r#"{"codec":"PCMA","packets_in":0,"packets_out":0}"#, "it costs little in the log");
        assert!(serde_json::to_string(&good).unwrap().len() < 120);
    }
}
