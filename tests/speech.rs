//! The real programs that speak: flite for English, espeak-ng for other languages. Both must be installed.

use std::path::PathBuf;
use tierline::config::Sound;
use tierline::ivr::PromptText;
use tierline::server::speech::{Speaker, gather};

#[test]
fn texts_are_spoken_by_the_installed_programs() {
    let speakers = Speaker::installed();
    let names: Vec<&str> = speakers
        .iter()
        .map(|speaker| match speaker {
            Speaker::Flite(_) => "flite",
            Speaker::EspeakNg(_) => "espeak-ng",
        })
        .collect();
    assert_eq!(names, ["flite", "espeak-ng"], "install flite and espeak-ng to run this test");
    let dir: PathBuf = std::env::temp_dir().join(format!("tierline-spoken-{}", std::process::id()));
    let rows = [
        ("en", "Welcome. Your ticket is 4711.", &speakers[..]),
        ("de-AT", "Grüß Gott, äh, schön.", &speakers[..]),
        ("en", "Spoken by the other program.", &speakers[1..]),
    ];
    for (language, text, speakers) in rows {
        let speak = Some(PromptText { name: "x".into(), text: text.into(), language: language.into() });
        let sound = Sound { name: "x".into(), place: "f.toml:1:1".into(), recording: None, speak };
        let gathered = gather(&[sound], &dir, speakers).unwrap();
        let mut reader = hound::WavReader::new(&gathered.wavs[0].1[..]).unwrap();
        let seconds = f64::from(reader.duration()) / f64::from(reader.spec().sample_rate);
        let loudest = reader.samples::<i16>().map(|sample| sample.unwrap().unsigned_abs()).max().unwrap();
        assert!((0.8..8.0).contains(&seconds) && loudest > 3000, "{text}: {seconds} s, {loudest}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}
