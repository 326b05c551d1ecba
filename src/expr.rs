//! The one expression language of flows: small, typed, total.
//!
//! ```text
//! either  = both { "or" both }
//! both    = plain { "and" plain }
//! plain   = "not" plain | term [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "starts") term | ["not"] "in" list ]
//! term    = number | text | time | "true" | "false" | name | "length" "(" term ")" | "(" either ")"
//! list    = "[" value { "," value } "]"
//! text    = "…" or '…', as it stands between the quotes;   time = 08:30;   name = ticket.status
//! ```
//!
//! An expression is read once, against the names that are known where it stands: unknown names, and types that do not
//! fit, are mistakes with their place. After that it always has a value: a name whose value has another type by then
//! counts as that type's empty one. There is no loop, no arithmetic and no function that somebody could define, so
//! what it costs is bounded by its length.
//!
//! `cel` was looked at: a parser generator, dynamic types and functions of its own, for what is a page here, and its
//! mistakes are found when a caller meets them, not when the file is read.

mod parse;
mod shown;

pub use parse::{MAX_DEPTH, MAX_LENGTH, Mistake};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Type {
    /// true or false.
    Flag,
    Number,
    Text,
    /// A time of day.
    Time,
}

impl Type {
    /// The value of a name that nobody has given one.
    pub fn empty(self) -> Value {
        match self {
            Type::Flag => Value::Flag(false),
            Type::Number => Value::Number(0),
            Type::Text => Value::Text(String::new()),
            Type::Time => Value::Time(0),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Flag => "true or false",
            Type::Number => "a number",
            Type::Text => "a text",
            Type::Time => "a time of day",
        })
    }
}

/// A value. Two of the same type have an order: false before true, texts by their letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    Flag(bool),
    Number(i64),
    Text(String),
    /// Minutes since midnight.
    Time(u16),
}

impl Value {
    pub fn kind(&self) -> Type {
        match self {
            Value::Flag(_) => Type::Flag,
            Value::Number(_) => Type::Number,
            Value::Text(_) => Type::Text,
            Value::Time(_) => Type::Time,
        }
    }

    /// This value, or the empty one of `kind` if it is something else.
    pub fn of(self, kind: Type) -> Value {
        if self.kind() == kind { self } else { kind.empty() }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::Time(minutes) => write!(f, "{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

/// The names that are known where an expression stands.
pub type Names = BTreeMap<String, Type>;

/// An expression whose names and types have been checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expr {
    Value(Value),
    Name(String, Type),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare(Box<Expr>, Comparison, Box<Expr>),
    /// Whether a text begins with another.
    Starts(Box<Expr>, Box<Expr>),
    In(Box<Expr>, Vec<Value>),
    /// How many characters a text has.
    Length(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::Unequal => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        }
    }
}

impl Expr {
    /// Reads an expression that may use these names.
    ///
    /// # Errors
    /// The first mistake, and where it stands.
    pub fn read(text: &str, names: &Names) -> Result<Expr, Mistake> {
        parse::read(text, names)
    }

    pub fn kind(&self) -> Type {
        match self {
            Expr::Value(value) => value.kind(),
            Expr::Name(_, kind) => *kind,
            Expr::Length(_) => Type::Number,
            _ => Type::Flag,
        }
    }

    /// Its value, where `value_of` knows what names stand for.
    pub fn value(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> Value {
        let flag = |inner: &Expr| inner.holds(value_of);
        match self {
            Expr::Value(value) => value.clone(),
            Expr::Name(name, kind) => value_of(name).unwrap_or_else(|| kind.empty()).of(*kind),
            Expr::Not(inner) => Value::Flag(!flag(inner)),
            Expr::And(parts) => Value::Flag(parts.iter().all(flag)),
            Expr::Or(parts) => Value::Flag(parts.iter().any(flag)),
            Expr::Compare(a, comparison, b) => Value::Flag(comparison.holds(&a.value(value_of), &b.value(value_of))),
            Expr::Starts(text, start) => match (text.value(value_of), start.value(value_of)) {
                (Value::Text(text), Value::Text(start)) => Value::Flag(text.starts_with(&start)),
                _ => Value::Flag(false),
            },
            Expr::In(inner, list) => Value::Flag(list.contains(&inner.value(value_of))),
            Expr::Length(inner) => match inner.value(value_of) {
                Value::Text(text) => Value::Number(text.chars().count() as i64),
                _ => Value::Number(0),
            },
        }
    }

    /// Whether it is true.
    pub fn holds(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.value(value_of) == Value::Flag(true)
    }

    /// Every name in it.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Expr::Value(_) => Vec::new(),
            Expr::Name(name, _) => vec![name],
            Expr::Not(inner) | Expr::In(inner, _) | Expr::Length(inner) => inner.names(),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().flat_map(Expr::names).collect(),
            Expr::Compare(a, _, b) | Expr::Starts(a, b) => [a.names(), b.names()].concat(),
        }
    }
}

#[cfg(test)]
mod tests;
