//! MTProto over WebSocket, for both roles.
