//! Networks, each a plain Burn module.
