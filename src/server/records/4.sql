-- Version 4: each wait counts for itself, also after an agent has sent the caller on; what the flow said a wait would be;
-- talks are shared out among the intervals of a report as agents' states are.
ALTER TABLE queue_interval ADD COLUMN told_ms INTEGER;
UPDATE queue_interval SET waited_ms = ended - began WHERE waited_ms <> ended - began;
CREATE INDEX segment_talked ON segment(ended, began, agent, kind) WHERE party = 'agent' AND kind IN ('talking', 'held');
