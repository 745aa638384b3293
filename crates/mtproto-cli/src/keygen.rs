//! `mtproto keygen`.

use serde_json::json;

use crate::args::KeygenArgs;
use crate::exit::Failure;
use crate::keys::KeyPair;

pub(crate) fn run(args: &KeygenArgs) -> Result<(), Failure> {
    let pair = KeyPair::open(&args.dir)?;
    let private = args.dir.join("private.pem");
    if args.json {
        let line = json!({
            "fingerprint": pair.fingerprint(),
            "private_key": private,
            "public_key": pair.public_path,
        });
        println!("{line}");
    } else {
        println!("fingerprint  {}", pair.fingerprint());
        println!("private key  {}  (the server's; keep it secret)", private.display());
        println!("public key   {}  (for clients)", pair.public_path.display());
    }
    Ok(())
}
