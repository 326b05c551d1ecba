//! Expressions that hold, that do not, and that are refused.

use super::*;
use crate::ids::Rng;
use crate::written::mangled;

fn names() -> Names {
    let names = [("caller", Type::Text), ("vip", Type::Flag), ("tries", Type::Number), ("time", Type::Time)];
    let fields = [("ticket.status", Type::Text), ("hours.desk", Type::Flag)];
    names.into_iter().chain(fields).map(|(name, kind)| (name.to_owned(), kind)).collect()
}

fn value_of(name: &str) -> Option<Value> {
    Some(match name {
        "caller" => Value::Text("+4930123".into()),
        "vip" => Value::Flag(true),
        "tries" => Value::Number(3),
        "time" => Value::Time(8 * 60 + 30),
        "ticket.status" => Value::Text("open".into()),
        "hours.desk" => Value::Number(7), // of another type by now: counts as false
        _ => return None,
    })
}

#[test]
fn what_is_written_has_its_value() {
    let check = |text: &str, expect: &str| {
        let value = Expr::read(text, &names()).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}")).value(&value_of);
        assert_eq!(value.to_string(), expect, "{text}");
    };
    check("true", "true");
    check("tries", "3");
    check("'a b'", "a b");
    check("8:30", "08:30");
    check("-5 < -4", "true");
    check("tries >= 3 and tries <= 3 and not (tries != 3)", "true");
    check("tries > 3 or vip", "true");
    check("false or false and true", "false");
    check("true or false and false", "true");
    check("not vip or vip", "true");
    check("not not vip", "true");
    check("caller starts '+49'", "true");
    check("caller starts \"+48\"", "false");
    check("ticket.status in ['open', 'waiting']", "true");
    check("ticket.status not in ['open']", "false");
    check("time >= 08:30 and time < 17:00", "true");
    check("length(caller) == 8", "true");
    check("hours.desk", "false");
    check("false < true", "true");
    check("(tries)==3", "true");
}

#[test]
fn what_is_shown_reads_as_the_same() {
    let check = |text: &str, shown: &str| {
        let expr = Expr::read(text, &names()).unwrap();
        assert_eq!((expr.to_string().as_str(), Expr::read(shown, &names())), (shown, Ok(expr)), "{text}");
    };
    check("tries>=3 and (vip or not vip)", "tries >= 3 and (vip or not vip)");
    check("(tries > 3 and vip) or hours.desk", "tries > 3 and vip or hours.desk");
    check("vip and (vip and vip)", "vip and (vip and vip)");
    check("vip or (vip or vip)", "vip or (vip or vip)");
    check("not (tries == 3)", "not (tries == 3)");
    check("not not vip", "not (not vip)");
    check("ticket.status not in ['op\"en', 'shut']", "ticket.status not in ['op\"en', \"shut\"]");
    check("caller starts '+49' or length(caller) == -8", "caller starts \"+49\" or length(caller) == -8");
    check("(tries == 3) == (time < 8:30)", "(tries == 3) == (time < 08:30)");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let check = |text: &str, at: usize, part: &str| {
        let mistake = Expr::read(text, &names()).expect_err(text);
        assert!(mistake.at == at && mistake.message.contains(part), "{text}: {mistake:?}");
    };
    check("", 0, "the expression ends here; allowed: a name, a number");
    check("vip and", 7, "ends here");
    check("vip vip", 4, "here is `vip`; allowed: and, or");
    check("vpi", 0, "nothing is called `vpi` here; allowed: caller, hours.desk");
    check("vpi", 0, "did you mean \"vip\"?");
    check("tries = 3", 6, "there is no sign `=`; equal is ==");
    check("tries == '3'", 6, "a number is compared with a text");
    check("tries and vip", 0, "here is a number; allowed: what is true or false");
    check("vip or tries", 7, "here is a number");
    check("not tries", 4, "here is a number");
    check("tries starts 'x'", 6, "`starts` compares texts, and here is a number");
    check("caller starts 3", 7, "`starts` compares texts, and here is a number");
    check("tries in [1, 'x']", 13, "a number is looked for in this list");
    check("tries in [vip]", 10, "a list holds values");
    check("tries in []", 10, "here is `]`");
    check("caller in ['a' 'b']", 15, "here is a text; allowed: `,` before another value, or ]");
    check("tries in 3", 9, "here is 3; allowed: [");
    check("tries not 3", 10, "allowed: in");
    check("'open", 0, "lacks its end");
    check("24:00 == time", 0, "this is no number");
    check("99999999999999999999 == 1", 0, "this is no number");
    check("(vip", 4, "allowed: )");
    check("length(tries) > 1", 7, "`length` takes a text");
    check("1 < 2 < 3", 6, "here is `<`");
    check("é", 0, "there is no sign");
    check(&"(".repeat(100), 33, "up to 32");
    check(&"not ".repeat(100), 4 * 33, "up to 32");
    check(&" ".repeat(1001), 0, "up to 1000 characters");
}

/// Whatever is written is read or refused, has one value of the type that was told, and reads back from its data.
#[test]
fn no_text_makes_it_panic() {
    const GOOD: &str = "(vip or caller starts '+49') and tries in [1, 2] and not time < 08:30 or length(caller) != 3";
    let (mut rng, names) = (Rng::from_number(5), names());
    let (mut good, mut bad) = (0, 0);
    for _ in 0..200_000 {
        match Expr::read(&mangled(GOOD, |n| rng.below(n)), &names) {
            Ok(expr) => {
                good += 1;
                assert_eq!(expr.value(&value_of).kind(), expr.kind());
                assert_eq!(expr.value(&|_| None).kind(), expr.kind());
                assert!(expr.names().iter().all(|name| names.contains_key(*name)));
            }
            Err(mistake) => {
                bad += 1;
                assert!(!mistake.message.is_empty() && mistake.at <= 2 * MAX_LENGTH);
            }
        }
    }
    assert!(good > 1_000 && bad > 10_000, "{good} good, {bad} bad");
}
