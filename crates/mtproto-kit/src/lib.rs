//! MTProto 2.0, the protocol under Telegram, for both sides of the wire
