//! A whole MTProto client or server as a machine without clock, socket or runtime
