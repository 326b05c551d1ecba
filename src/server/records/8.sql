-- Version 8: each gap in the log has a row of its own; what was known of all of them together is the first.
CREATE TABLE gap(
    event INTEGER PRIMARY KEY, count INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL);
INSERT INTO gap
    SELECT 0, lost.value, began.value, ended.value FROM meta lost, meta began, meta ended
    WHERE lost.key = 'lost' AND began.key = 'lost_from' AND ended.key = 'lost_to';
DELETE FROM meta WHERE key IN ('lost', 'lost_from', 'lost_to');
-- A report reads one agent after the other, as it did of talks: his states and offers are found by when they began. What
-- is old is found by when it ended.
DROP INDEX agent_interval_ended;
CREATE INDEX agent_interval_ended ON agent_interval(ended);
CREATE INDEX agent_interval_states ON agent_interval(agent, began, ended, mode, unreachable);
DROP INDEX offer_began;
CREATE INDEX offer_agent ON offer(agent, began, result);
