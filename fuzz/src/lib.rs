//! What [cargo-fuzz] throws at the machines of rows 0 to 3: `cargo xtask fuzz`.
//!
//! Each target is a function of bytes that panics when something that must hold does not. Without
//! cargo-fuzz its binary runs the files that it is given, and `cargo test` here runs some hundred
//! inputs of each. An input that found something becomes a named test of the crate concerned.
//!
//! [cargo-fuzz]: https://rust-fuzz.github.io/book/cargo-fuzz.html

mod choices;
mod fake_tls;
mod objects;
mod operations;
mod pack;
mod tl;
mod wire;
mod world;

pub use fake_tls::fake_tls;
pub use operations::operations;
pub use pack::pack;
pub use tl::tl;
pub use wire::wire;

/// The `main` of a target: libFuzzer's, or one that runs files.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|path| Ok($body(&std::fs::read(path)?)))
        }
    };
}

#[cfg(test)]
mod tests {
    use mtproto_crypto::{SecureRandom, SeededRandom};

    /// Runs so many inputs of up to `len_max` bytes.
    fn run(target: fn(&[u8]), inputs: u64, len_max: usize) {
        for seed in 0..inputs {
            let mut random = SeededRandom::new(seed);
            let mut input = vec![0; random.u32() as usize % (len_max + 1)];
            random.fill(&mut input);
            println!("seed {seed}");
            target(&input);
        }
    }

    #[test]
    fn fake_tls() {
        run(super::fake_tls, 800, 600);
    }

    #[test]
    fn operations() {
        run(super::operations, 400, 4096);
    }

    #[test]
    fn pack() {
        run(super::pack, 800, 600);
    }

    #[test]
    fn tl() {
        run(super::tl, 800, 200);
    }

    #[test]
    fn wire() {
        run(super::wire, 800, 600);
    }
}
