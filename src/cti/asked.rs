//! What a desktop asks, as the engine understands it.

use crate::command::{Actor, Ask, Command, Refusal, Verb};
use crate::ids::{AgentId, QueueId, SkillId};
use crate::proto;
use proto::command::Ask as Asked;
use std::collections::BTreeMap;
use std::time::Duration;

/// The command that `asked` means; or why it cannot mean any.
pub fn command(actor: Actor, asked: &proto::Command) -> Result<Command, proto::Refused> {
    if let Some(Asked::SwitchBanner(it)) = &asked.ask {
        return Ok(Command { actor, ask: Ask::Banner { banner: it.banner.clone(), on: it.on } });
    }
    let agent = match (&actor, asked.agent) {
        (Actor::Agent(own), 0) => *own,
        (_, 0) => return Err(invalid("say for which agent")),
        (_, named) => AgentId(named),
    };
    let ask = match asked.ask.as_ref().ok_or_else(|| invalid("nothing is asked; set one of the fields of `ask`"))? {
        Asked::LogIn(_) => Ask::LogIn { agent },
        Asked::LogOut(_) => Ask::LogOut { agent },
        Asked::Ready(_) => Ask::Ready { agent },
        Asked::NotReady(it) => Ask::NotReady { agent, reason: it.reason.clone() },
        Asked::MoreTime(it) => Ask::MoreTime { agent, time: Duration::from_secs(it.seconds.into()) },
        other => serve(agent, other)?,
    };
    Ok(Command { actor, ask })
}

fn serve(agent: AgentId, asked: &Asked) -> Result<Ask, proto::Refused> {
    let (call, verb) = match asked {
        Asked::HangUp(it) => (it.call.as_str(), Verb::HangUp),
        Asked::Hold(it) => (it.call.as_str(), Verb::Hold),
        Asked::Retrieve(it) => (it.call.as_str(), Verb::Retrieve),
        Asked::Attach(it) => (it.call.as_str(), Verb::Attach(it.data.clone())),
        Asked::Dispatch(it) => {
            let (queue, skills) = (QueueId::new(&it.queue), skills(&it.skills)?);
            (it.call.as_str(), Verb::Dispatch { queue, skills, priority: it.priority })
        }
        Asked::Transfer(it) => (it.call.as_str(), transfer(it)?),
        Asked::Dispose(it) => {
            let (disposition, notes) = (it.disposition.clone(), it.notes.clone());
            (it.call.as_str(), Verb::Dispose { disposition, notes })
        }
        Asked::Answer(_) => ("", Verb::Answer),
        Asked::LogIn(_)
        | Asked::LogOut(_)
        | Asked::Ready(_)
        | Asked::NotReady(_)
        | Asked::MoreTime(_)
        | Asked::SwitchBanner(_) => {
            return Err(invalid("this is about no call; leave `call` away"));
        }
    };
    let call = match call {
        "" => None,
        named => Some(named.parse().map_err(|_| invalid("a call looks like c0-1-42"))?),
    };
    Ok(Ask::Serve { agent, call, verb })
}

fn transfer(asked: &proto::Transfer) -> Result<Verb, proto::Refused> {
    use proto::transfer::To;
    Ok(match asked.to.as_ref().ok_or_else(|| invalid("say where to"))? {
        To::Queue(queue) => Verb::Dispatch { queue: QueueId::new(queue), skills: BTreeMap::new(), priority: 0 },
        To::Agent(agent) => Verb::ToAgent(AgentId(*agent)),
        To::Number(number) => Verb::ToNumber(number.clone()),
    })
}

fn skills(asked: &BTreeMap<String, u32>) -> Result<BTreeMap<SkillId, u8>, proto::Refused> {
    let level = |level: &u32| u8::try_from(*level).map_err(|_| invalid("a skill's level is 1 to 10"));
    asked.iter().map(|(skill, wanted)| Ok((SkillId::new(skill), level(wanted)?))).collect()
}

/// A value that cannot be meant.
pub fn invalid(text: &str) -> proto::Refused {
    proto::Refused { why: proto::Refusal::Invalid.into(), text: text.to_owned() }
}

/// The engine's refusal.
pub fn refused(refusal: Refusal) -> proto::Refused {
    use proto::Refusal as R;
    let why = match refusal {
        Refusal::NotAllowed => R::NotAllowed,
        Refusal::NoSuchAgent => R::NoSuchAgent,
        Refusal::NoSuchCall => R::NoSuchCall,
        Refusal::NotYours => R::NotYours,
        Refusal::NoSuchQueue => R::NoSuchQueue,
        Refusal::WrongState => R::WrongState,
        Refusal::NotCoded => R::NotCoded,
        Refusal::HeldByPhone => R::HeldByPhone,
        Refusal::AgentNotAvailable => R::AgentNotAvailable,
        Refusal::QueueRefuses => R::QueueRefuses,
        Refusal::NoRoute => R::NoRoute,
        Refusal::PhoneCannot => R::PhoneCannot,
        Refusal::NoSuchBanner => R::NoSuchBanner,
        Refusal::Defect => R::Defect,
        Refusal::Invalid(_) => R::Invalid,
    };
    proto::Refused { why: why.into(), text: refusal.text().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(agent: u32, ask: Asked) -> proto::Command {
        proto::Command { key: "k".into(), agent, ask: Some(ask) }
    }

    #[test]
    fn what_is_asked_is_understood_or_refused_in_words() {
        let ada = || Actor::Agent(AgentId(1001));
        let ready = |agent| Command { actor: ada(), ask: Ask::Ready { agent: AgentId(agent) } };
        assert_eq!(command(ada(), &asked(0, Asked::Ready(proto::Ready {}))), Ok(ready(1001)));
        assert_eq!(command(ada(), &asked(1002, Asked::Ready(proto::Ready {}))), Ok(ready(1002)));
        let wrong = |actor, agent, ask| command(actor, &asked(agent, ask)).unwrap_err().text;
        let more = Ask::MoreTime { agent: AgentId(1001), time: Duration::from_secs(90) };
        let asks = Asked::MoreTime(proto::MoreTime { seconds: 90 });
        assert_eq!(command(ada(), &asked(0, asks)), Ok(Command { actor: ada(), ask: more }));
        assert_eq!(wrong(Actor::Operator, 0, Asked::Ready(proto::Ready {})), "say for which agent");
        let hang_up = Asked::HangUp(proto::HangUp { call: "nonsense".into() });
        assert_eq!(wrong(ada(), 0, hang_up), "a call looks like c0-1-42");
        let nowhere = Asked::Transfer(proto::Transfer::default());
        assert_eq!(wrong(ada(), 0, nowhere), "say where to");
        let banner = || Asked::SwitchBanner(proto::SwitchBanner { banner: "outage".into(), on: true });
        let ask = Ask::Banner { banner: "outage".into(), on: true };
        assert_eq!(command(Actor::Operator, &asked(0, banner())), Ok(Command { actor: Actor::Operator, ask }));
        let skills = BTreeMap::from([("network".to_owned(), 300)]);
        let dispatch = Asked::Dispatch(proto::Dispatch { queue: "q".into(), skills, ..Default::default() });
        assert_eq!(wrong(ada(), 0, dispatch), "a skill's level is 1 to 10");
    }

    /// Each is told by its own name; and those that the engine does not give are known.
    #[test]
    fn each_refusal_is_told_by_its_own_name() {
        use Refusal::*;
        let all = [
            NotAllowed,
            NoSuchAgent,
            NoSuchCall,
            NoSuchBanner,
            NotYours,
            NoSuchQueue,
            WrongState,
            HeldByPhone,
            NotCoded,
            AgentNotAvailable,
            QueueRefuses,
            NoRoute,
            PhoneCannot,
            Defect,
            Invalid("a level is 1 to 10"),
        ];
        // Whoever adds one names it here, and then above.
        let name = |refusal| match refusal {
            NotAllowed => "NOT_ALLOWED",
            NoSuchAgent => "NO_SUCH_AGENT",
            NoSuchCall => "NO_SUCH_CALL",
            NoSuchBanner => "NO_SUCH_BANNER",
            NotYours => "NOT_YOURS",
            NoSuchQueue => "NO_SUCH_QUEUE",
            WrongState => "WRONG_STATE",
            NotCoded => "NOT_CODED",
            HeldByPhone => "HELD_BY_PHONE",
            AgentNotAvailable => "AGENT_NOT_AVAILABLE",
            QueueRefuses => "QUEUE_REFUSES",
            NoRoute => "NO_ROUTE",
            PhoneCannot => "PHONE_CANNOT",
            Defect => "DEFECT",
            Invalid(_) => "INVALID",
        };
        let told = all.map(|refusal| {
            let told = refused(refusal);
            assert_eq!((told.why().as_str_name(), told.text.as_str()), (name(refusal), refusal.text()));
            told.why()
        });
        let known = (0..).map_while(|number| proto::Refusal::try_from(number).ok());
        let others: Vec<_> = known.filter(|why| !told.contains(why)).map(|why| why.as_str_name()).collect();
        assert_eq!(others, ["REFUSAL_UNSPECIFIED", "KEY_REUSED", "UNAVAILABLE", "NOT_WRITTEN"]);
    }
}
