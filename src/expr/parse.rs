//! Text → [`Expr`], by recursive descent, with types.

use super::{Comparison, Expr, Names, Type, Value};
use crate::written::did_you_mean;

/// Characters of one expression.
pub const MAX_LENGTH: usize = 1_000;
/// Parentheses and negations within each other.
pub const MAX_DEPTH: usize = 32;
const MAX_LIST: usize = 100;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// In bytes from the expression's start.
    pub at: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Number(i64),
    Text(String),
    Time(u16),
    /// A name or a word of the language.
    Word(String),
    Sign(&'static str),
    End,
}

pub fn read(text: &str, names: &Names) -> Result<Expr, Mistake> {
    if text.chars().count() > MAX_LENGTH {
        return Err(wrong(0, format!("an expression has up to {MAX_LENGTH} characters")));
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens, next: 0, names, depth: 0 };
    let expr = reader.either()?;
    match reader.peek() {
        Token::End => Ok(expr),
        _ => Err(reader.unexpected("and, or, a comparison or the end")),
    }
}

fn wrong(at: usize, message: String) -> Mistake {
    Mistake { at, message }
}

/// Longer signs first.
const SIGNS: [&str; 11] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ","];

/// Each token with its place; the last is the end.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Mistake> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            tokens.push((at, Token::End));
            return Ok(tokens);
        };
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first).ok_or_else(|| wrong(at, format!("this text lacks its end: {first}")))?,
            '0'..='9' | '-' => number(rest).ok_or_else(|| {
                let allowed = "a whole number such as 12, or a time of day from 00:00 to 23:59";
                wrong(at, format!("this is no number; allowed: {allowed}"))
            })?,
            'a'..='z' | 'A'..='Z' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)));
                let word = &rest[..end.unwrap_or(rest.len())];
                (Token::Word(word.to_owned()), word.len())
            }
            _ => match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(wrong(at, unknown_sign(first))),
            },
        };
        tokens.push((at, token));
        at += length;
    }
}

fn unknown_sign(sign: char) -> String {
    let meant = if sign == '=' { "; equal is ==" } else { "" };
    format!("there is no sign `{}`{meant}; allowed: == != < <= > >= and, or, not, in, starts", sign.escape_debug())
}

fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let end = rest[1..].find(quote)?;
    Some((Token::Text(rest[1..=end].to_owned()), end + 2))
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let end = rest[1..].find(|c: char| !(c.is_ascii_digit() || c == ':')).map_or(rest.len(), |end| end + 1);
    let written = &rest[..end];
    let token = match written.split_once(':') {
        None => Token::Number(written.parse().ok()?),
        Some((hours, minutes)) => {
            let part = |s: &str, below: u16| {
                let whole = s.len() <= 2 && !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
                s.parse::<u16>().ok().filter(|n| whole && *n < below)
            };
            Token::Time(part(hours, 24)? * 60 + part(minutes, 60).filter(|_| minutes.len() == 2)?)
        }
    };
    Some((token, end))
}

struct Reader<'n> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    names: &'n Names,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes the word or sign, if it is the next.
    fn skip(&mut self, what: &str) -> bool {
        let here = match self.peek() {
            Token::Word(word) => word == what,
            Token::Sign(sign) => *sign == what,
            _ => false,
        };
        if here {
            self.take();
        }
        here
    }

    fn expect(&mut self, sign: &str) -> Result<(), Mistake> {
        if self.skip(sign) { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    fn unexpected(&self, allowed: &str) -> Mistake {
        let is = match self.peek() {
            Token::End => "the expression ends here".to_owned(),
            Token::Number(number) => format!("here is {number}"),
            Token::Text(_) => "here is a text".to_owned(),
            Token::Time(minutes) => format!("here is {}", Value::Time(*minutes)),
            Token::Word(word) => format!("here is `{}`", word.chars().take(64).collect::<String>()),
            Token::Sign(sign) => format!("here is `{sign}`"),
        };
        wrong(self.at(), format!("{is}; allowed: {allowed}"))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth >= MAX_DEPTH {
            return Err(wrong(
                self.at(),
                format!("allowed: up to {MAX_DEPTH} parentheses and negations in each other"),
            ));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn either(&mut self) -> Result<Expr, Mistake> {
        self.chain("or", Self::both, Expr::Or)
    }

    fn both(&mut self) -> Result<Expr, Mistake> {
        self.chain("and", Self::plain, Expr::And)
    }

    fn chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expr, Mistake>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr, Mistake> {
        let at = self.at();
        let first = part(self)?;
        if !matches!(self.peek(), Token::Word(next) if next == word) {
            return Ok(first);
        }
        let mut parts = vec![flag(at, first)?];
        while self.skip(word) {
            let at = self.at();
            parts.push(flag(at, part(self)?)?);
        }
        Ok(join(parts))
    }

    fn plain(&mut self) -> Result<Expr, Mistake> {
        if self.skip("not") {
            let at = self.at();
            let inner = self.deeper(Self::plain)?;
            return Ok(Expr::Not(Box::new(flag(at, inner)?)));
        }
        let term = self.term()?;
        let at = self.at();
        if self.skip("in") {
            return self.list(term);
        }
        if self.skip("not") {
            self.expect("in")?;
            return Ok(Expr::Not(Box::new(self.list(term)?)));
        }
        if self.skip("starts") {
            let start = self.term()?;
            return match (term.kind(), start.kind()) {
                (Type::Text, Type::Text) => Ok(Expr::Starts(Box::new(term), Box::new(start))),
                (kind, Type::Text) | (_, kind) => {
                    Err(wrong(at, format!("`starts` compares texts, and here is {kind}")))
                }
            };
        }
        let Some(comparison) = self.comparison() else { return Ok(term) };
        let other = self.term()?;
        if term.kind() != other.kind() {
            let message = format!("{} is compared with {}; allowed: two of the same type", term.kind(), other.kind());
            return Err(wrong(at, message));
        }
        Ok(Expr::Compare(Box::new(term), comparison, Box::new(other)))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let Token::Sign(sign) = *self.peek() else { return None };
        let comparison = match sign {
            "==" => Comparison::Equal,
            "!=" => Comparison::Unequal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.take();
        Some(comparison)
    }

    fn list(&mut self, term: Expr) -> Result<Expr, Mistake> {
        self.expect("[")?;
        let mut list = Vec::new();
        loop {
            let at = self.at();
            let Expr::Value(value) = self.term()? else {
                return Err(wrong(at, "a list holds values, no names".to_owned()));
            };
            if value.kind() != term.kind() || list.len() >= MAX_LIST {
                let allowed = format!("up to {MAX_LIST} values, each {}", term.kind());
                return Err(wrong(at, format!("{} is looked for in this list; allowed: {allowed}", term.kind())));
            }
            list.push(value);
            if self.skip("]") {
                return Ok(Expr::In(Box::new(term), list));
            }
            if !self.skip(",") {
                return Err(self.unexpected("`,` before another value, or ]"));
            }
        }
    }

    fn term(&mut self) -> Result<Expr, Mistake> {
        const A_TERM: &str = "a name, a number, a text, a time, true, false, not or (";
        let at = self.at();
        let value = match self.peek().clone() {
            Token::Number(number) => Value::Number(number),
            Token::Text(text) => Value::Text(text),
            Token::Time(minutes) => Value::Time(minutes),
            Token::Word(word) => return self.word(at, &word, A_TERM),
            Token::Sign("(") => {
                self.take();
                let inner = self.deeper(Self::either)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign(_) | Token::End => return Err(self.unexpected(A_TERM)),
        };
        self.take();
        Ok(Expr::Value(value))
    }

    fn word(&mut self, at: usize, word: &str, a_term: &str) -> Result<Expr, Mistake> {
        match word {
            "and" | "or" | "in" | "starts" | "not" => return Err(self.unexpected(a_term)),
            _ => self.take(),
        };
        match word {
            "true" => Ok(Expr::Value(Value::Flag(true))),
            "false" => Ok(Expr::Value(Value::Flag(false))),
            "length" if self.skip("(") => {
                let at = self.at();
                let inner = self.deeper(Self::term)?;
                self.expect(")")?;
                match inner.kind() {
                    Type::Text => Ok(Expr::Length(Box::new(inner))),
                    kind => Err(wrong(at, format!("`length` takes a text, and here is {kind}"))),
                }
            }
            name => match self.names.get(name) {
                Some(kind) => Ok(Expr::Name(name.to_owned(), *kind)),
                None => Err(wrong(at, self.unknown(name))),
            },
        }
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<&str> = self.names.keys().map(String::as_str).take(30).collect();
        let near = did_you_mean(name, self.names.keys().map(String::as_str));
        let name: String = name.chars().take(64).collect();
        format!("nothing is called `{name}` here; allowed: {}{near}", known.join(", "))
    }
}

fn flag(at: usize, expr: Expr) -> Result<Expr, Mistake> {
    match expr.kind() {
        Type::Flag => Ok(expr),
        kind => Err(wrong(at, format!("here is {kind}; allowed: what is true or false, such as a comparison"))),
    }
}
