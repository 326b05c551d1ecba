-- Version 6: who talks or writes up is at work, whatever reaches him; writing up names its call, and talk and writing up the
-- wait that was answered.
ALTER TABLE agent_interval ADD COLUMN work INTEGER;
UPDATE agent_interval SET unreachable = 0 WHERE unreachable = 1 AND mode <> 'Ready';
UPDATE agent_interval SET work = (
        SELECT q.work FROM queue_interval q WHERE q.call = agent_interval.call AND q.agent = agent_interval.agent
        ORDER BY abs(q.ended - agent_interval.began), q.n LIMIT 1)
    WHERE mode = 'Busy' AND call IS NOT NULL;
UPDATE agent_interval SET (call, work) = (
        SELECT b.call, b.work FROM agent_interval b WHERE b.agent = agent_interval.agent
        AND b.event < agent_interval.event ORDER BY b.event DESC LIMIT 1)
    WHERE mode = 'WrapUp' AND call IS NULL AND 'Busy' = (
        SELECT b.mode FROM agent_interval b WHERE b.agent = agent_interval.agent
        AND b.event < agent_interval.event ORDER BY b.event DESC LIMIT 1);
CREATE INDEX agent_interval_wrap_up ON agent_interval(call, work, began, ended) WHERE mode = 'WrapUp';
DROP INDEX queue_interval_began;
CREATE INDEX queue_interval_began
    ON queue_interval(began, queue, again, outcome, waited_ms, agent, talked_ms, held_ms, work);
-- Callers who are sent on, from here on: what earlier calls were the log says, and `tierline records rebuild` makes of it.
CREATE TABLE transfer(
    call INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, agent INTEGER, kind TEXT NOT NULL, to_queue TEXT,
    to_agent INTEGER, result TEXT NOT NULL, reason TEXT,
    PRIMARY KEY(call, n)) WITHOUT ROWID;
