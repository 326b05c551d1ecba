//! Variables, and expressions that name them.

use super::steps::field_type;
use super::{Reader, name};
use crate::expr::{Expr, Type, Value as Plain};
use crate::written::{Section, Value};

/// Characters of a variable's first text.
const MAX_TEXT: usize = 2_000;

/// Names of calendars and announcements that a flow writes in its expressions.
pub(super) fn of_the_center(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')));
    words.filter(|word| word.starts_with("hours.") || word.starts_with("banner."))
}

impl<'p> Reader<'p> {
    /// `[variables]`: names with their first values.
    pub(super) fn read_variables(&mut self, section: Section<'p>) {
        for value in section.rest() {
            let Some(name) = self.named_well(&value) else { continue };
            let first = if let Some(text) = value.text_as_written() {
                Plain::Text(text.chars().take(MAX_TEXT).collect())
            } else if let Some(number) = value.number_as_written() {
                Plain::Number(number)
            } else if let Some(flag) = value.flag_as_written() {
                Plain::Flag(flag)
            } else {
                value.wrong("a text, a whole number, true or false");
                continue;
            };
            self.declare(name, first);
        }
    }

    /// The label as a name; told if it is none.
    fn named_well(&self, value: &Value<'p>) -> Option<String> {
        if crate::written::is_name(&value.label) && !self.names.contains_key(&value.label) {
            return Some(value.label.clone());
        }
        let why = match self.names.contains_key(&value.label) {
            true => "the name has a meaning already".to_owned(),
            false => format!("allowed: {}", crate::written::A_NAME),
        };
        self.page.report(&value.key_place, format!("a variable cannot be called `{}`; {why}", value.label));
        None
    }

    fn declare(&mut self, name: String, first: Plain) {
        self.names.insert(name.clone(), first.kind());
        self.variables.entry(name).or_insert(first);
    }

    /// What steps remember is known to all expressions of the flow: found before any is read.
    pub(super) fn collect_names(&mut self, steps: &[Value<'p>]) {
        for step in steps.iter().filter(|step| step.is_table()) {
            let (label, Some(mut section)) = (step.label.clone(), step.clone().section()) else { continue };
            let text = |value: Option<Value<'p>>| value.and_then(|v| v.text_as_written().map(str::to_owned));
            let into = text(section.take("into"));
            if section.has("collect") {
                let Some(into) = into else { continue };
                if section.take("secret").is_some_and(|value| value.is_true()) {
                    self.secrets.insert(into.clone());
                }
                if !self.variables.contains_key(&into) && !self.names.contains_key(&into) {
                    self.declare(into, Plain::Text(String::new()));
                }
            } else if section.has("lookup") {
                let into = into.unwrap_or(label);
                let fields = section.take("fields").filter(Value::is_table).and_then(Value::section);
                for field in fields.map(Section::rest).unwrap_or_default() {
                    if let Some(kind) = field_type(&field) {
                        self.declare(format!("{into}.{}", field.label), kind.empty());
                    }
                }
            }
        }
    }

    /// The name of a variable that a step remembers something in.
    pub(super) fn variable(&mut self, value: &Value<'p>) -> Option<String> {
        let said = name(value, "the name of a variable")?;
        if self.names.contains_key(&said.it) && !self.variables.contains_key(&said.it) {
            value.wrong("a name that has no meaning yet");
            return None;
        }
        if self.variables.get(&said.it).is_some_and(|first| first.kind() != Type::Text) {
            value.wrong("a variable whose first value is a text");
            return None;
        }
        Some(said.it)
    }

    /// An expression, for what leaves to the ticketing system: secrets may be named.
    pub(super) fn expression(&mut self, value: &Value<'p>) -> Option<Expr> {
        let text = value.parsed("an expression such as \"ticket\" or 'language == \"de\"'", |s| Some(s.to_owned()))?;
        match Expr::read(&text, &self.names) {
            Ok(expr) => Some(expr),
            Err(mistake) => {
                self.page.report(&value.inside(mistake.at), mistake.message);
                None
            }
        }
    }

    /// An expression for what is heard, shown or remembered: no secret may be named.
    pub(super) fn open_expression(&mut self, value: &Value<'p>) -> Option<Expr> {
        let expr = self.expression(value)?;
        match expr.names().into_iter().find(|name| self.secrets.contains(*name)) {
            Some(secret) => {
                let message = format!("`{secret}` is secret: it may be looked up and compared, and goes nowhere else");
                self.page.report(&value.place, message);
                None
            }
            None => Some(expr),
        }
    }

    pub(super) fn condition(&mut self, value: &Value<'p>) -> Option<Expr> {
        let expr = self.expression(value)?;
        self.typed(value, expr, Type::Flag)
    }

    pub(super) fn value_of(&mut self, value: &Value<'p>, kind: Type) -> Option<Expr> {
        let expr = self.open_expression(value)?;
        self.typed(value, expr, kind)
    }

    fn typed(&self, value: &Value<'p>, expr: Expr, kind: Type) -> Option<Expr> {
        if expr.kind() == kind {
            return Some(expr);
        }
        self.page.report(&value.inside(0), format!("here is {}; allowed: {kind}", expr.kind()));
        None
    }
}
