-- Version 2: what reports and lists of calls read, without touching the rows themselves.
CREATE INDEX call_arrived ON call(arrived, line, outcome, ended, waited_ms, talked_ms, held_ms);
CREATE INDEX queue_interval_began ON queue_interval(began, queue, again, outcome, waited_ms, agent, talked_ms, held_ms);
CREATE INDEX offer_began ON offer(began, agent, result);
CREATE INDEX agent_interval_ended ON agent_interval(ended, began, agent, mode, reason);
CREATE INDEX flow_path_began ON flow_path(began, flow, contained, person, exit, spent_ms);
CREATE INDEX look_up_asked ON look_up(asked, flow, result, took_ms);
