"""Exchange of parameters between agents: topology, segments, frames, channel and ledger."""
