# What CI runs.
check:
    .ci/run

# The tests of all crates.
test *arguments:
    cargo test --workspace {{arguments}}

# Create, train, move, switch: the main job, end to end.
demo:
    cargo run --release -- demo

# Images/s, rows/s, latencies, CPU and memory, per engine.
bench *arguments:
    python3 benches/bench.py {{arguments}}

# dede beside FastAPI, mosec and LitServe, in the same terms.
bench-peers *arguments:
    python3 benches/bench.py --peers fastapi,mosec,litserve {{arguments}}

# Random crashes of moves: how many schedules, and the first seed; then three times as many of the next recipe. One that
# fails is printed with its seed.
soak schedules="1000" seed="1":
    DEDE_CRASH_SCHEDULES={{schedules}} DEDE_CRASH_SEED={{seed}} cargo test -p dede --features failpoints --test it crash::schedules -- --nocapture
    DEDE_CRASH_SCHEDULES=$(({{schedules}} / 5)) DEDE_CRASH_SEED={{seed}} cargo test -p dede --features failpoints --test it crash::together::schedules -- --nocapture
    just soak-meddling $((3 * {{schedules}})) {{seed}}

# Random actions of people in the middle of moves: how many schedules, and the first seed. One that fails is printed with its seed.
soak-meddling schedules="3000" seed="1":
    DEDE_MEDDLING_SCHEDULES={{schedules}} DEDE_MEDDLING_SEED={{seed}} cargo test -p dede --test it moving::meddling::model -- --nocapture

# Clients that leave at any moment, 256 of them for a minute, and 200 kills while services change.
endurance:
    DEDE_ENDURANCE=1 cargo test -p dede --test it endurance:: -- --nocapture --test-threads 1

# What clients notice of moves, transfer, deduplication, the switch.
bench-move *arguments:
    python3 benches/move.py {{arguments}}

# Memory and pause of moves that exchange networks in place.
bench-exchange *arguments:
    python3 benches/exchange.py {{arguments}}

# Random mutants of images, networks, parameters and raw requests: seconds of each, and the seed.
fuzz seconds="600" seed="1":
    DEDE_FUZZ_S={{seconds}} DEDE_FUZZ_SEED={{seed}} cargo test -p dede --test it fuzz:: -- --nocapture
    DEDE_FUZZ_TARGET_S={{seconds}} DEDE_FUZZ_SEED={{seed}} cargo test -p dede-fuzz -- --nocapture

# The server's tests with a binary of before a repair, which have to fail: its path, and beginnings of names of tests.
before binary *tests:
    python3 tests/before.py {{binary}} {{tests}}

# Licences, versions, sources and known weaknesses of dependencies, with cargo-deny: `cargo install cargo-deny` first.
deny:
    cargo deny --locked check
