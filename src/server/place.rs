//! Where a command on this machine finds its server: the data directory, who serves from it, and the files of secrets. The
//! configuration is read once. A mistake in it keeps nobody from asking a server that runs; what the mistake is about is
//! never guessed.

use super::accounts::{self, Kind};
use super::cti::tokens;
use super::serving::Serving;
use super::store;
use super::wrong::Wrong;
use crate::config::{self, Kept};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// What a command was pointed at.
#[derive(Debug)]
pub struct Place {
    pub data: PathBuf,
    passwords: Kept,
    tokens: Kept,
    /// What is wrong with the configuration.
    problems: Option<String>,
}

impl Place {
    /// The directory that is named, or the one that the configuration says.
    ///
    /// # Errors
    /// No directory is named, and the configuration is [`Wrong`] and nobody serves where it says that the data is; or who
    /// serves there runs with another one.
    pub fn find(config: Option<&Path>, data: Option<&Path>) -> Result<Place> {
        let made_up = || (Kept::MadeUp, Kept::MadeUp);
        if let Some(data) = data {
            let (passwords, tokens) = made_up();
            return Ok(Place { data: data.to_owned(), passwords, tokens, problems: None });
        }
        let (needs, problems) = match config::load(config) {
            Ok(loaded) => (loaded.needs(), None),
            Err(refused) => (refused.needs, Some(refused.problems.to_string())),
        };
        let lies = |data: &PathBuf| problems.is_none() || store::in_use(data).is_some();
        let Some(data) = needs.data.filter(lies) else { return Err(Wrong(problems.unwrap_or_default()).into()) };
        let data = meant(config, data)?;
        Ok(Place { data, passwords: needs.password_file, tokens: needs.secrets.tokens, problems })
    }

    /// The file of secrets.
    ///
    /// # Errors
    /// A mistake in the configuration hides which one it is.
    pub fn secrets(&self, kind: Kind) -> Result<PathBuf> {
        let (kept, made_up) = match kind {
            Kind::Passwords => (&self.passwords, accounts::default_file(&self.data)),
            Kind::Tokens => (&self.tokens, tokens::default_file(&self.data)),
        };
        match kept {
            Kept::In(file) => Ok(file.clone()),
            Kept::MadeUp => Ok(made_up),
            Kept::Unknown => Err(Wrong(self.problems.clone().unwrap_or_default()).into()),
        }
    }

    /// Who serves from there now, if somebody does.
    pub fn serving(&self) -> Option<Serving> {
        Serving::of(&self.data)
    }
}

/// Whoever names a configuration means the server that runs with it: `data` may be another one's, started elsewhere or with
/// `--data`.
///
/// # Errors
/// It is another one's.
pub fn meant(config: Option<&Path>, data: PathBuf) -> Result<PathBuf> {
    let Some((config, serving)) = config.zip(Serving::of(&data)) else { return Ok(data) };
    if serving.is_with(config) {
        return Ok(data);
    }
    let with = serving.config.first();
    let with = with.map_or("the demo inside the program".to_owned(), |with| format!("`{}`", with.display()));
    Err(Wrong(format!(
        "`{}` is the data directory of a server that runs with {with}, not with `{}`: name the directory that is meant with \
         --data",
        data.display(),
        config.display()
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A demo whose data is in a directory of its own, with what `change` makes of its text.
    fn demo(dir: &Path, change: &dyn Fn(&str) -> String) -> PathBuf {
        let (data, flows) = (dir.join("data"), std::env::current_dir().unwrap().join("ivr-flows"));
        let text = fs::read_to_string("deploy/tierline.toml").unwrap();
        let text = text.replace("data = \"data\"", &format!("data = \"{}\"", data.display()));
        let text = text.replace("\"../ivr-flows\"", &format!("\"{}\"", flows.display()));
        let file = dir.join("center.toml");
        fs::write(&file, change(&text)).unwrap();
        file
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("tierline-place-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// With a mistake in it a configuration still leads to a server that runs, and to its own file of passwords: not to one
    /// that is made up, which might be anybody's.
    #[test]
    fn a_mistake_leads_to_no_other_file_of_secrets() {
        let dir = folder("secrets");
        let ring = |text: &str| text.replace("ring_timeout = \"20s\"", "ring_timeout = \"20\"");
        let own = |text: &str, file: &str| {
            text.replace("# password_file = \"passwords\"", &format!("password_file = {file}"))
        };
        let desks =
            |text: &str, file: &str| text.replace("[server.cti]", &format!("[server.cti]\ntoken_file = {file}"));
        let secrets = |config: &Path, kind| {
            let place = Place::find(Some(config), None).map_err(|why| why.to_string())?;
            place.secrets(kind).map_err(|why| why.to_string())
        };
        fs::write(dir.join("pw"), "").unwrap();
        let config = demo(&dir, &|text| ring(text));
        assert!(secrets(&config, Kind::Passwords).is_err_and(|why| why.contains("ring_timeout")), "nobody serves");
        let data = dir.join("data");
        let store = store::Store::open(&data, 1).unwrap();
        // What a start of this file has noted.
        let noted = serde_json::json!({ "config": [config], "sip": null, "grpc": null });
        let note = || fs::write(data.join("serving.json"), noted.to_string()).unwrap();
        note();
        assert_eq!(secrets(&config, Kind::Passwords), Ok(data.join("passwords")));
        assert_eq!(secrets(&config, Kind::Tokens), Ok(data.join("tokens")));
        demo(&dir, &|text| desks(&own(&ring(text), "\"pw\""), "\"tk\""));
        assert_eq!(secrets(&config, Kind::Passwords), Ok(dir.join("pw")));
        assert_eq!(secrets(&config, Kind::Tokens), Ok(dir.join("tk")));
        demo(&dir, &|text| desks(&own(text, "7"), "8"));
        assert!(secrets(&config, Kind::Passwords).is_err_and(|why| why.contains("`password_file` is 7")));
        assert!(secrets(&config, Kind::Tokens).is_err_and(|why| why.contains("`token_file` is 8")));
        // A misspelled key hides what it was for.
        let misspelled = |config: &Path, of: [(Kind, &str); 2]| {
            of.map(|(kind, key)| secrets(config, kind).is_err_and(|why| why.contains(key)))
        };
        let of = [(Kind::Passwords, "`pasword_file` is not known"), (Kind::Tokens, "`tokenfile` is not known")];
        demo(&dir, &|text| {
            desks(&own(text, "\"pw\""), "1").replace("password_f", "pasword_f").replace("token_f", "tokenf")
        });
        assert_eq!(misspelled(&config, of), [true; 2]);
        demo(&dir, &|text| text.replace("[server.cti]", "[server.ctl]"));
        assert!(secrets(&config, Kind::Tokens).is_err_and(|why| why.contains("`ctl` is not known")));
        for (from, to, key) in [("[server", "[servr", "`servr`"), ("data = ", "dta = ", "`dta`")] {
            demo(&dir, &|text| text.replace(from, to));
            assert_eq!(misspelled(&config, [(Kind::Passwords, key), (Kind::Tokens, key)]), [true; 2], "{to}");
        }
        // What is no TOML says nothing of where the data is.
        demo(&dir, &|text| text.replace("[center]", "[center"));
        assert!(secrets(&config, Kind::Passwords).is_err_and(|why| why.contains("no TOML")));
        demo(&dir, &|text| text.replace(&format!("data = \"{}\"", data.display()), "data = 3"));
        assert!(secrets(&config, Kind::Passwords).is_err_and(|why| why.contains("`data` is 3")));
        drop(store);
        fs::remove_dir_all(&dir).unwrap();
    }
}
