"""Moving parameters between agents: who hears whom, segments, frames on the wire, the byte ledger."""
