module mtproto-kit/interop/mtg

go 1.26

require (
	github.com/9seconds/mtg/v2 v2.2.8
	github.com/rs/zerolog v1.35.0
)

require (
	github.com/OneOfOne/xxhash v1.2.8 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/panjf2000/ants/v2 v2.12.0 // indirect
	github.com/pires/go-proxyproto v0.11.0 // indirect
	github.com/tylertreat/BoomFilters v0.0.0-20251117164519-53813c36cc1b // indirect
	github.com/yl2chen/cidranger v1.0.2 // indirect
	golang.org/x/crypto v0.49.0 // indirect
	golang.org/x/sync v0.20.0 // indirect
	golang.org/x/sys v0.42.0 // indirect
)
