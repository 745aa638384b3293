//! MTProto over TCP: dial and listen in every framing
