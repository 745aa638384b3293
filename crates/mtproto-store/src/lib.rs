//! Narrow storage traits of an MTProto endpoint, in memory and as a session file
