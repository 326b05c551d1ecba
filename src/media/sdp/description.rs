//! A description as it stands in its text (RFC 8866): its lines cut, nothing copied.
//!
//! Read are the version, times, connections, attributes and the lines of media; what those say must be right. All other
//! lines are passed over: nothing here depends on who wrote a description or how it is called. Lines may stand in
//! nearly any order, since many writers do not keep to that of §5; empty ones are no lines.

use std::ops::Range;

/// `a=name:value`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

#[derive(Debug)]
pub struct Description<'a> {
    /// The address of `c=` as it is written.
    connection: Option<&'a str>,
    /// Start and stop of the first `t=`.
    pub times: Option<(u64, u64)>,
    /// The session's first, then those of each stream.
    attributes: Vec<Attribute<'a>>,
    own: usize,
    pub medias: Vec<Media<'a>>,
}

/// `m=media port proto fmt`; of `port/number of ports` the first.
#[derive(Debug)]
pub struct Media<'a> {
    pub media: &'a str,
    pub port: u16,
    pub proto: &'a str,
    pub fmt: &'a str,
    /// Of its first `c=`.
    connection: Option<&'a str>,
    attributes: Range<usize>,
}

impl<'a> Description<'a> {
    /// # Errors
    /// It is none; in words, with the line's number.
    pub fn read(text: &'a str) -> Result<Description<'a>, String> {
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
        let Some((_, "v=0")) = lines.next() else { return Err("it does not begin with `v=0`".to_owned()) };
        let (attributes, medias) = (Vec::with_capacity(16), Vec::with_capacity(1));
        let mut read = Description { connection: None, times: None, attributes, own: 0, medias };
        for (number, line) in lines {
            read.line(line).map_err(|why| format!("line {number}: {why}"))?;
        }
        if read.medias.is_empty() {
            read.own = read.attributes.len();
        }
        Ok(read)
    }

    fn line(&mut self, line: &'a str) -> Result<(), &'static str> {
        let &[key, b'=', ..] = line.as_bytes() else { return Err("it is not a letter, `=` and a value") };
        // §9: neither can stand in a line; a bare carriage return may end one for other readers.
        if line.bytes().any(|byte| matches!(byte, 0 | b'\r')) {
            return Err("it holds what no line holds");
        }
        let value = &line[2..];
        match key {
            b'm' => self.begins(value)?,
            b'c' => {
                let address = connection(value).ok_or("`c=` is net type, address type and address")?;
                let place = match self.medias.last_mut() {
                    Some(media) => &mut media.connection,
                    None if self.connection.is_some() => return Err("a second `c=` of the session"),
                    None => &mut self.connection,
                };
                place.get_or_insert(address);
            }
            b't' if self.medias.is_empty() => {
                let times = times(value).ok_or("`t=` is two numbers")?;
                self.times.get_or_insert(times);
            }
            b'a' => {
                let (name, value) = value.split_once(':').map_or((value, None), |(name, value)| (name, Some(value)));
                self.attributes.push(Attribute { name, value });
                if let Some(media) = self.medias.last_mut() {
                    media.attributes.end = self.attributes.len();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begins(&mut self, value: &'a str) -> Result<(), &'static str> {
        let mut words = value.splitn(4, ' ');
        let (Some(media), Some(ports), Some(proto), Some(fmt)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("`m=` is media, port, protocol and formats");
        };
        let (port, number) = ports.split_once('/').map_or((ports, None), |(port, number)| (port, Some(number)));
        let port = port.parse().map_err(|_| "the port of `m=` is a number up to 65535")?;
        if number.is_some_and(|number| number.parse::<u16>().is_err()) {
            return Err("the number of ports of `m=` is a number up to 65535");
        }
        let begin = self.attributes.len();
        if self.medias.is_empty() {
            self.own = begin;
        }
        self.medias.push(Media { media, port, proto, fmt, connection: None, attributes: begin..begin });
        Ok(())
    }

    /// The address that counts for a stream: its own, or the session's.
    pub fn connection(&self, media: &Media<'a>) -> Option<&'a str> {
        media.connection.or(self.connection)
    }

    /// The attributes of a stream in their order.
    pub fn attributes(&self, media: &Media<'a>) -> &[Attribute<'a>] {
        &self.attributes[media.attributes.clone()]
    }

    /// The session's own.
    pub fn of_session(&self) -> &[Attribute<'a>] {
        &self.attributes[..self.own]
    }
}

fn connection(value: &str) -> Option<&str> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let (_, _, address) = (words.next()?, words.next()?, words.next()?);
    words.next().is_none().then_some(address)
}

fn times(value: &str) -> Option<(u64, u64)> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let times = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rng;

    #[test]
    fn what_a_description_says_is_found() {
        let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns= \r\nc=IN IP4 192.0.2.1\r\nt=1  2\r\nt=3 4\r\na=one\r\n\r\n\
                    m=audio 5004/2 RTP/AVP 0 8\r\nc=IN IP4 192.0.2.2\r\nc=IN IP4 192.0.2.3\r\na=two:2:2\r\nm=video 0 RTP/AVP 31\n\
                    a=three:\n";
        let read = Description::read(text).unwrap();
        let shown = |attributes: &[Attribute]| {
            attributes.iter().map(|a| (a.name.to_owned(), a.value.map(str::to_owned))).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
        assert_eq!((read.times, shown(read.of_session())), (Some((1, 2)), pair("one", None)));
        let [audio, video] = &read.medias[..] else { panic!("{read:?}") };
        assert_eq!((audio.media, audio.port, audio.proto, audio.fmt), ("audio", 5004, "RTP/AVP", "0 8"));
        assert_eq!((read.connection(audio), read.connection(video)), (Some("192.0.2.2"), Some("192.0.2.1")));
        assert_eq!(shown(read.attributes(audio)), pair("two", Some("2:2")));
        assert_eq!((video.port, shown(read.attributes(video))), (0, pair("three", Some(""))));
        let alone = Description::read("v=0\na=one\na=two\n").unwrap();
        assert_eq!((alone.of_session().len(), alone.medias.len()), (2, 0));
    }

    #[test]
    fn what_is_none_says_where() {
        for (text, why) in [
            ("", "v=0"),
            ("s=-\r\nv=0\r\n", "v=0"),
            ("v=0\r\nbroken\r\n", "line 2: it is not a letter"),
            ("v=0\r\n=x\r\n", "line 2: it is not a letter"),
            ("v=0\r\n\r\na=b\rc\r\n", "line 3: it holds what no line holds"),
            ("v=0\r\na=\0\r\n", "line 2: it holds what no line holds"),
            ("v=0\r\nc=IN IP4\r\n", "line 2: `c=`"),
            ("v=0\r\nc=IN IP4 a b\r\n", "line 2: `c=`"),
            ("v=0\r\nc=IN IP4 a\r\nc=IN IP4 a\r\n", "line 3: a second `c=`"),
            ("v=0\r\nt=0\r\n", "line 2: `t=`"),
            ("v=0\r\nt=0 0 0\r\n", "line 2: `t=`"),
            ("v=0\r\nm=audio 1 RTP/AVP\r\n", "line 2: `m=`"),
            ("v=0\r\nm=audio 65536 RTP/AVP 0\r\n", "line 2: the port"),
            ("v=0\r\nm=audio 1/x RTP/AVP 0\r\n", "line 2: the number of ports"),
        ] {
            let told = Description::read(text).unwrap_err();
            assert!(told.contains(why), "{text:?}: {told}");
        }
    }

    /// The same attributes, or not.
    fn same(ours: &[Attribute], theirs: &[sdp_types::Attribute]) -> bool {
        let pairs = theirs.iter().map(|a| (a.attribute.as_str(), a.value.as_deref()));
        ours.iter().map(|a| (a.name, a.value)).eq(pairs)
    }

    /// What another reader takes we take, and as the same.
    #[test]
    fn another_reader_reads_the_same() {
        let seed = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=call\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=group:x\r\n\
                    m=video 6000 RTP/AVP 31\r\nc=IN IP4 192.0.2.2\r\nm=audio 5004/2 RTP/AVP 0 101\r\na=rtcp:5010\r\n\
                    b=AS:64\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";
        let (mut rng, mut taken, mut refused) = (Rng::from_number(8866), 0, 0);
        let mut bytes = Vec::new();
        for _ in 0..200_000 {
            bytes.clear();
            bytes.extend_from_slice(seed.as_bytes());
            crate::media::mutation::mutate(&mut bytes, &mut rng);
            let text = String::from_utf8_lossy(&bytes);
            let Ok(theirs) = sdp_types::Session::parse(text.as_bytes()) else {
                refused += 1;
                continue;
            };
            taken += 1;
            let ours = Description::read(&text).unwrap_or_else(|why| panic!("{why}: {text:?}"));
            assert!(same(ours.of_session(), &theirs.attributes), "{text:?}");
            assert_eq!(ours.times, theirs.times.first().map(|t| (t.start_time, t.stop_time)), "{text:?}");
            assert_eq!(ours.medias.len(), theirs.medias.len(), "{text:?}");
            for (ours_media, media) in ours.medias.iter().zip(&theirs.medias) {
                let Media { media: kind, port, proto, fmt, .. } = ours_media;
                let other = (media.media.as_str(), media.port, media.proto.as_str(), media.fmt.as_str());
                assert_eq!((*kind, *port, *proto, *fmt), other, "{text:?}");
                assert!(same(ours.attributes(ours_media), &media.attributes), "{text:?}");
                let address = media.connections.first().or(theirs.connection.as_ref());
                let address = address.map(|c| c.connection_address.as_str());
                assert_eq!(ours.connection(ours_media), address, "{text:?}");
            }
        }
        assert!(taken.min(refused) > 10_000, "{taken} taken, {refused} refused");
    }
}
