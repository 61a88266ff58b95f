//! Every story on every adapter: `THEME::STORY::ADAPTER`. A new adapter is one more line in `on_each!`.

use std::time::Duration;

use dcrf_tests::adapter::{
    Adapter, AsyncStd, Blocking, Smol, TokioCurrentThread, TokioMultiThread,
};
use dcrf_tests::stories;

/// No story takes this long; one that hangs is to fail.
const LIMIT: Duration = Duration::from_secs(60);

macro_rules! on_each {
    ($story:path) => {
        on_each!($story, tokio_current_thread, TokioCurrentThread);
        on_each!($story, tokio_multi_thread, TokioMultiThread);
        on_each!($story, smol, Smol);
        on_each!($story, async_std, AsyncStd);
        on_each!($story, blocking, Blocking);
    };
    ($story:path, $name:ident, $adapter:expr) => {
        #[test]
        fn $name() {
            $adapter.run($adapter.within(LIMIT, $story($adapter)));
        }
    };
}

macro_rules! scenarios {
    ($($theme:ident { $($story:ident)+ })+) => {
        $(mod $theme {
            $(mod $story {
                use super::super::*;
                on_each!(stories::$theme::$story);
            })+
        })+
    };
}

scenarios! {
    actions {
        all_on_a_model
        on_a_model_keyed_id
        on_a_model_keyed_by_uuid
        r7_validation_errors_are_readable
        r7_a_private_stream_refuses_the_anonymous
        r7_a_missing_object_is_not_found
        r7_an_unknown_action_is_not_allowed
        r7_a_status_decides_without_errors
        r4_a_crash_of_the_consumer
        f3_nan_is_read_as_null
        a_paginated_list_decodes
        an_answer_of_another_type_is_a_decode_error
    }
    requests {
        r3_a_silent_action_times_out
        r3_a_late_answer_is_dropped_and_counted
        r6_answers_find_their_requests_in_any_order
        r9_a_cancelled_request_drops_its_answer
        r8_request_ids_of_ones_own
        r11_too_large_is_refused_at_the_call
        f2_a_push_of_the_server_is_told
        r1_requests_wait_for_the_first_connection
    }
    replies {
        r12_a_streamed_list_is_read_to_its_end
        r12_a_streamed_list_is_dropped_in_the_middle
        r12_a_streamed_list_that_does_not_exist_is_refused
        r12_pages_are_asked_for_one_after_the_other
        r12_all_objects_of_a_list
        r12_a_stream_is_interrupted_by_the_servers_death
    }
    messages {
        r10_a_message_waits_for_the_connection
        c3_a_flush_waits_for_the_socket
        c3_a_flush_fails_when_the_client_is_closed_first
        f2_pushes_are_heard_also_after_a_reconnect
    }
    subscriptions {
        changes_of_an_object
        s10_a_delete_has_the_right_key
        s10_a_uuid_key_is_text
        s2_two_subscribers_one_cancelled
        s9_dropped_and_subscribed_again
        s9_unsubscribing_from_a_deleted_object
        s8_an_event_before_the_acknowledgement
        s14_a_stale_update_is_a_refusal
        s3_a_refused_subscribe_is_not_replayed
        s7_deleted_during_the_outage
        r8_subscription_ids_of_ones_own
    }
    slow_readers {
        s11_readers_that_never_read_delay_nobody
    }
    all_at_once {
        s12_unsubscribe_all
        s12_unsubscribe_all_offline
        s12_resubscribe
    }
    feeds {
        s13_with_data_and_creates
        s13_creates_only_when_asked_for
        with_keys_alone
        s15_as_in_the_documentation
        with_an_argument
    }
    endpoints {
        f1_a_bare_endpoint
        f1_all_actions_on_a_bare_endpoint
        f1_lists_on_bare_endpoints
        f1_messages_and_pushes_on_a_bare_endpoint
        f1_a_bare_endpoint_over_the_servers_death
    }
    credentials {
        l6_the_unknown_are_refused_twice_and_then_end
        l7_the_caller_has_credentials_refreshed
        l8_a_token_in_a_header
        l8_a_token_in_a_subprotocol
        l8_a_token_in_the_query
        l8_each_connection_has_a_fresh_ticket
        l8_the_origin_is_that_of_the_server_unless_it_is_given
        l8_the_session_of_a_login
    }
    connect {
        l14_connecting_fails_with_the_first_error
        l14_the_lazy_form_returns_at_once
        l14_a_client_that_is_started_closed
        l14_a_wrong_url_is_not_dialled
        l5_gives_up_after_the_last_attempt
        l7_refused_credentials_end_the_client
        l7_uvicorn_restarts_with_1012
        l7_other_codes_reconnect
        l4_a_dial_that_hangs_is_given_up
    }
    silence {
        l9_a_server_that_stands_still
        l10_a_probe
    }
    close {
        c1_online_answers_what_is_in_flight
        c1_online_waits_no_longer_than_told
        c1_online_with_unsubscribes
        c1_now
        c1_offline
        c1_while_dialling
        c2_the_last_handle_leaves_nothing
        c2_the_last_handle_of_an_offline_client
        c2_a_runtime_that_ends_settles_everything
    }
    outage {
        r4_killed_with_requests_in_flight
        r4_what_the_socket_did_not_take_waits
        r4_repeated_at_most_once
        l2_a_planned_restart
    }
    chaos {
        every_fault_before_daphne
        every_fault_before_uvicorn
        daphne_dies
        uvicorn_dies
        cut_at_every_byte
    }
    streams {
        a_unix_socket
    }
    reconnect {
        l13_a_planned_reconnect
        l13_a_reconnect_ends_the_wait
        s6_a_refreshed_subscriber_converges
        l12_a_poisoned_subscription_ends_and_the_others_live_on
        f5_a_message_over_the_limit
    }
    tls {
        x2_a_client_with_a_certificate
        x2_a_server_with_a_certificate
    }
}
