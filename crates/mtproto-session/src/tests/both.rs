//! Both sessions talk to each other: the conversations worth reading.

use expect_test::{Expect, expect};

use super::SECOND;
use super::world::World;

fn check(ahead: i64, script: impl FnOnce(&mut World), expected: &Expect) {
    let mut world = World::new(ahead, 1800);
    script(&mut world);
    expected.assert_eq(&world.text);
}

// req: S1, S2, S3, S15, S33, S37, S55, S95
#[test]
fn a_client_that_knows_no_salt_makes_a_call() {
    check(
        0,
        |world| {
            world.request();
            world.run(SECOND);
            world.push();
            world.run(15 * SECOND);
        },
        &expect![[r#"
            0ms      + [1] link open
            0ms      > [1] msg_container c4 seqno=2
            0ms      > [1]   11111111 c1 seqno=1 bytes=8
            0ms      > [1]   ping_delay_disconnect c2 seqno=2 ping_id=1 delay=75
            0ms      > [1]   get_future_salts c3 seqno=2 num=64
            40ms     < [1] bad_server_salt s1 seqno=0 to=c4 code=48 new=A
            80ms     > [1] msg_container c7 seqno=2
            80ms     > [1]   11111111 c1 seqno=1 bytes=8
            80ms     > [1]   ping_delay_disconnect c5 seqno=2 ping_id=2 delay=75
            80ms     > [1]   get_future_salts c6 seqno=2 num=64
            120ms    < [1] msg_container s6 seqno=2
            120ms    < [1]   new_session_created s2 seqno=1 first=c1 salt=A
            120ms    < [1]   pong s3 seqno=2 to=c5 ping_id=2
            120ms    < [1]   future_salts s4 seqno=2 to=c6 count=64
            120ms    < [1]   msgs_ack s5 seqno=2 c1
            120ms    < [1] rpc_result s7 seqno=3 to=c1 11111111 bytes=8
            1000ms   < [1] 11111111 s8 seqno=5 bytes=8
            10160ms  > [1] msgs_ack c8 seqno=2 s2 s7 s8
        "#]],
    );
}

// req: S12, S14, S118
#[test]
fn a_client_whose_clock_is_an_hour_ahead_makes_a_call() {
    check(
        3600,
        |world| {
            world.request();
            world.run(SECOND);
        },
        &expect![[r#"
            0ms      + [1] link open
            0ms      > [1] msg_container c4 seqno=2
            0ms      > [1]   11111111 c1 seqno=1 bytes=8
            0ms      > [1]   ping_delay_disconnect c2 seqno=2 ping_id=1 delay=75
            0ms      > [1]   get_future_salts c3 seqno=2 num=64
            40ms     < [1] bad_server_salt s1 seqno=0 to=c4 code=48 new=A
            80ms     > [1] msg_container c9 seqno=2
            80ms     > [1]   11111111 c5 seqno=1 bytes=8
            80ms     > [1]   destroy_session c6 seqno=2 4d00000000000000
            80ms     > [1]   ping_delay_disconnect c7 seqno=2 ping_id=2 delay=75
            80ms     > [1]   get_future_salts c8 seqno=2 num=64
            120ms    < [1] msg_container s7 seqno=2
            120ms    < [1]   new_session_created s2 seqno=1 first=c5 salt=A
            120ms    < [1]   pong s3 seqno=2 to=c7 ping_id=2
            120ms    < [1]   future_salts s4 seqno=2 to=c8 count=64
            120ms    < [1]   destroy_session_ok s5 seqno=2 4d00000000000000
            120ms    < [1]   msgs_ack s6 seqno=2 c5
            120ms    < [1] rpc_result s8 seqno=3 to=c5 11111111 bytes=8
        "#]],
    );
}

// req: S5, S45, S94
#[test]
fn an_answer_that_a_cut_swallowed_comes_over_the_next_link() {
    check(
        0,
        |world| {
            world.run(SECOND);
            world.request();
            world.run(SECOND / 20);
            world.cut(SECOND, 2 * SECOND);
            world.run(12 * SECOND);
        },
        &expect![[r#"
            0ms      + [1] link open
            0ms      > [1] msg_container c3 seqno=0
            0ms      > [1]   ping_delay_disconnect c1 seqno=0 ping_id=1 delay=75
            0ms      > [1]   get_future_salts c2 seqno=0 num=64
            40ms     < [1] bad_server_salt s1 seqno=0 to=c3 code=48 new=A
            80ms     > [1] msg_container c6 seqno=0
            80ms     > [1]   ping_delay_disconnect c4 seqno=0 ping_id=2 delay=75
            80ms     > [1]   get_future_salts c5 seqno=0 num=64
            120ms    < [1] msg_container s5 seqno=2
            120ms    < [1]   new_session_created s2 seqno=1 first=c4 salt=A
            120ms    < [1]   pong s3 seqno=2 to=c4 ping_id=2
            120ms    < [1]   future_salts s4 seqno=2 to=c5 count=64
            1000ms   > [1] msg_container c9 seqno=2
            1000ms   > [1]   11111111 c7 seqno=1 bytes=8
            1000ms   > [1]   msgs_ack c8 seqno=2 s2
            1040ms   < [1] rpc_result s6 seqno=3 to=c7 11111111 bytes=8
            1050ms   - [1] link cut
            2050ms   - [1] link lost, says the client
            3050ms   - [1] link lost, says the server
            3050ms   + [2] link open
            3050ms   > [2] msg_container c12 seqno=2
            3050ms   > [2]   11111111 c7 seqno=1 bytes=8
            3050ms   > [2]   ping_delay_disconnect c10 seqno=2 ping_id=3 delay=75
            3050ms   > [2]   msgs_ack c11 seqno=2 s2
            3090ms   < [2] msg_container s8 seqno=4
            3090ms   < [2]   rpc_result s6 seqno=3 to=c7 11111111 bytes=8
            3090ms   < [2]   pong s7 seqno=4 to=c10 ping_id=3
        "#]],
    );
}

// req: S6, S8, S10
#[test]
fn a_call_is_cancelled_while_it_is_carried_out() {
    check(
        0,
        |world| {
            world.run(SECOND);
            world.handler_delay = 2 * SECOND;
            let request = world.request();
            world.run(SECOND);
            world.cancel(request);
            world.run(15 * SECOND);
        },
        &expect![[r#"
            0ms      + [1] link open
            0ms      > [1] msg_container c3 seqno=0
            0ms      > [1]   ping_delay_disconnect c1 seqno=0 ping_id=1 delay=75
            0ms      > [1]   get_future_salts c2 seqno=0 num=64
            40ms     < [1] bad_server_salt s1 seqno=0 to=c3 code=48 new=A
            80ms     > [1] msg_container c6 seqno=0
            80ms     > [1]   ping_delay_disconnect c4 seqno=0 ping_id=2 delay=75
            80ms     > [1]   get_future_salts c5 seqno=0 num=64
            120ms    < [1] msg_container s5 seqno=2
            120ms    < [1]   new_session_created s2 seqno=1 first=c4 salt=A
            120ms    < [1]   pong s3 seqno=2 to=c4 ping_id=2
            120ms    < [1]   future_salts s4 seqno=2 to=c5 count=64
            1000ms   > [1] msg_container c9 seqno=2
            1000ms   > [1]   11111111 c7 seqno=1 bytes=8
            1000ms   > [1]   msgs_ack c8 seqno=2 s2
            2000ms   > [1] rpc_drop_answer c10 seqno=2 c7
            2040ms   < [1] rpc_result s6 seqno=3 to=c10 rpc_answer_dropped_running
            3040ms   < [1] rpc_result s7 seqno=5 to=c7 rpc_answer_dropped_running
            12080ms  > [1] msgs_ack c11 seqno=2 s6 s7
        "#]],
    );
}

// req: S12, S31
#[test]
fn calls_are_cancelled_with_their_session() {
    check(
        0,
        |world| {
            world.run(SECOND);
            world.handler_delay = 2 * SECOND;
            let requests = [world.request(), world.request()];
            world.run(SECOND);
            requests.into_iter().for_each(|request| world.cancel(request));
            world.client.replace_session(world.now);
            world.run(5 * SECOND);
            assert!(world.outcomes.is_empty());
        },
        &expect![[r#"
            0ms      + [1] link open
            0ms      > [1] msg_container c3 seqno=0
            0ms      > [1]   ping_delay_disconnect c1 seqno=0 ping_id=1 delay=75
            0ms      > [1]   get_future_salts c2 seqno=0 num=64
            40ms     < [1] bad_server_salt s1 seqno=0 to=c3 code=48 new=A
            80ms     > [1] msg_container c6 seqno=0
            80ms     > [1]   ping_delay_disconnect c4 seqno=0 ping_id=2 delay=75
            80ms     > [1]   get_future_salts c5 seqno=0 num=64
            120ms    < [1] msg_container s5 seqno=2
            120ms    < [1]   new_session_created s2 seqno=1 first=c4 salt=A
            120ms    < [1]   pong s3 seqno=2 to=c4 ping_id=2
            120ms    < [1]   future_salts s4 seqno=2 to=c5 count=64
            1000ms   > [1] msg_container c10 seqno=4
            1000ms   > [1]   11111111 c7 seqno=1 bytes=8
            1000ms   > [1]   11111111 c8 seqno=3 bytes=8
            1000ms   > [1]   msgs_ack c9 seqno=4 s2
            2000ms   > [1] msg_container c13 seqno=0
            2000ms   > [1]   destroy_session c11 seqno=0 4d00000000000000
            2000ms   > [1]   ping_delay_disconnect c12 seqno=0 ping_id=3 delay=75
            2040ms   < [1] msg_container s9 seqno=2
            2040ms   < [1]   new_session_created s6 seqno=1 first=c11 salt=A
            2040ms   < [1]   pong s7 seqno=2 to=c12 ping_id=3
            2040ms   < [1]   destroy_session_ok s8 seqno=2 4d00000000000000
        "#]],
    );
}

// req: S38, S39
#[test]
fn a_server_forgets_a_call_that_it_had_acknowledged() {
    check(
        0,
        |world| {
            world.run(SECOND);
            world.handler_delay = 5 * SECOND;
            world.request();
            world.run(2 * SECOND);
            world.forget();
            world.request();
            world.run(SECOND);
        },
        &expect![[r#"
            0ms      + [1] link open
            0ms      > [1] msg_container c3 seqno=0
            0ms      > [1]   ping_delay_disconnect c1 seqno=0 ping_id=1 delay=75
            0ms      > [1]   get_future_salts c2 seqno=0 num=64
            40ms     < [1] bad_server_salt s1 seqno=0 to=c3 code=48 new=A
            80ms     > [1] msg_container c6 seqno=0
            80ms     > [1]   ping_delay_disconnect c4 seqno=0 ping_id=2 delay=75
            80ms     > [1]   get_future_salts c5 seqno=0 num=64
            120ms    < [1] msg_container s5 seqno=2
            120ms    < [1]   new_session_created s2 seqno=1 first=c4 salt=A
            120ms    < [1]   pong s3 seqno=2 to=c4 ping_id=2
            120ms    < [1]   future_salts s4 seqno=2 to=c5 count=64
            1000ms   > [1] msg_container c9 seqno=2
            1000ms   > [1]   11111111 c7 seqno=1 bytes=8
            1000ms   > [1]   msgs_ack c8 seqno=2 s2
            2540ms   < [1] msgs_ack s6 seqno=2 c7
            3000ms   > [1] 11111111 c10 seqno=3 bytes=8
            3040ms   < [1] msg_container s9 seqno=2
            3040ms   < [1]   new_session_created s7 seqno=1 first=c10 salt=A
            3040ms   < [1]   msgs_ack s8 seqno=2 c10
            3080ms   > [1] msg_container c12 seqno=4
            3080ms   > [1]   11111111 c7 seqno=1 bytes=8
            3080ms   > [1]   msgs_ack c11 seqno=4 s7
            3120ms   < [1] msg_container s12 seqno=4
            3120ms   < [1]   new_session_created s10 seqno=3 first=c7 salt=A
            3120ms   < [1]   msgs_ack s11 seqno=4 c7
        "#]],
    );
}
