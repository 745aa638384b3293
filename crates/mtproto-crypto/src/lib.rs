//! The cryptography of MTProto 2.0: IGE, message envelope, RSA, Diffie-Hellman, pq
