-- Version 3: who hung up in a flow is not contained; reports leave out what is heard while waiting.
UPDATE flow_path SET contained = 0
    WHERE contained = 1 AND NOT EXISTS (SELECT 1 FROM call WHERE call.call = flow_path.call AND call.cause = 'FlowEnded');
DROP INDEX flow_path_began;
CREATE INDEX flow_path_began ON flow_path(began, flow, waiting, contained, person, exit, spent_ms);
