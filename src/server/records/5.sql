-- Version 5: agents whom nothing reached are told apart from those at work; no earlier log says when that was.
ALTER TABLE agent_interval ADD COLUMN unreachable INTEGER NOT NULL DEFAULT 0;
DROP INDEX agent_interval_ended;
CREATE INDEX agent_interval_ended ON agent_interval(ended, began, agent, mode, reason, unreachable);
-- An agent's talks are found by when they began, so that a report of an old day reads none that came later.
DROP INDEX segment_talked;
CREATE INDEX segment_talks ON segment(agent, began, ended, kind) WHERE party = 'agent' AND kind IN ('talking', 'held');
