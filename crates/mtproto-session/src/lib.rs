//! Session bookkeeping of MTProto: ids, acknowledgements, salts, duplicates, re-sending
