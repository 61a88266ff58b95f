//! Runs every story on every adapter, as `THEME::STORY::ADAPTER`. A new adapter needs one line in `on_each!`. The module
//! `fake` runs those stories again that need no process and no network, with a server in memory.

use std::time::Duration;

use dcrf_tests::adapter::{
    Adapter, AsyncStd, Blocking, OnFake, Smol, TokioCurrentThread, TokioMultiThread,
};
use dcrf_tests::stories;

/// A story that takes longer hangs, and fails. `DCRF_TEST_LIMIT` sets another limit, in seconds.
fn limit() -> Duration {
    let limit = std::env::var("DCRF_TEST_LIMIT").map_or(180, |limit| limit.parse().unwrap());
    Duration::from_secs(limit)
}

macro_rules! on_each {
    ($run:ident, $story:path) => {
        on_each!($run, $story, tokio_current_thread, TokioCurrentThread);
        on_each!($run, $story, tokio_multi_thread, TokioMultiThread);
        on_each!($run, $story, smol, Smol);
        on_each!($run, $story, async_std, AsyncStd);
        on_each!($run, $story, blocking, Blocking);
    };
    ($run:ident, $story:path, $name:ident, $adapter:expr) => {
        #[test]
        fn $name() {
            $run!($story, $adapter);
        }
    };
}

macro_rules! on_django {
    ($story:path, $adapter:expr) => {
        $adapter.run($adapter.within(limit(), $story($adapter)))
    };
}

macro_rules! on_fake {
    ($story:path, $adapter:expr) => {
        let adapter = OnFake::new($adapter);
        let story = $story(adapter.clone());
        $adapter.run(async move { adapter.within(limit(), story).await })
    };
}

macro_rules! scenarios {
    ($run:ident $($theme:ident { $($story:ident)+ })+) => {
        $(mod $theme {
            $(mod $story {
                use crate::*;
                on_each!($run, stories::$theme::$story);
            })+
        })+
    };
}

scenarios! {
    on_django
    actions {
        all_actions_on_a_model
        model_keyed_by_id
        model_keyed_by_uuid
        r7_validation_errors_are_readable
        r7_private_stream_replies_403_to_anonymous_client
        r7_missing_object_replies_404
        r7_unknown_action_replies_405
        r7_status_alone_makes_an_error_reply
        r4_consumer_crash_fails_the_request_and_reconnects
        f3_nan_is_read_as_null
        paginated_list_decodes
        reply_of_another_type_is_a_decode_error
    }
    requests {
        r3_unanswered_request_times_out
        r3_late_reply_is_dropped_and_counted
        r6_replies_match_their_requests_in_any_order
        r9_reply_to_cancelled_request_is_dropped
        r8_custom_request_ids
        r11_oversized_request_is_rejected_by_the_call
        f2_unsolicited_message_is_an_event
        r1_requests_wait_for_the_first_connection
    }
    resources {
        typed_actions
        typed_subscriptions
        feed_of_a_group
        r12_all_reads_the_pages_that_list_rejects
    }
    collections {
        v1_thousand_rows_equal_the_database
        v1_rows_that_move_between_pages
        v2_older_event_behind_a_newer_one_is_ignored_by_version
        v2_race_is_corrected_by_verify
        v2_race_without_version_or_verify_stays_until_the_next_resync
        v2_rows_looked_up_by_slug
        v3_moved_row_leaves_its_group_and_enters_the_other
        v3_moved_row_stays_in_a_collection_of_both_groups
        v4_keys_are_fetched
        v4_row_deleted_while_fetched
        v6_server_killed_during_a_list
        v9_sleeping_reader_gets_each_row_once
        v10_forty_readers_need_one_list_per_connection
        v11_order_and_filter_of_a_thousand_rows
        v12_bulk_create_is_found_by_a_resync
        v12_resync_every_finds_silent_changes
        v12_silent_move_is_found_by_a_resync
        v14_own_writes_are_seen_when_the_call_returns
    }
    replies {
        r12_streamed_list_is_read_to_the_end
        r12_dropped_streamed_list_is_cancelled
        r12_unknown_streamed_list_is_one_error
        r12_pages_are_requested_one_by_one
        r12_list_all_yields_every_object
        r12_server_death_interrupts_a_stream
    }
    messages {
        r10_message_waits_for_the_connection
        c3_flush_waits_for_the_socket
        c3_flush_fails_if_the_client_closes_first
        f2_listener_survives_a_reconnect
    }
    subscriptions {
        changes_of_an_object
        s10_delete_carries_the_configured_key
        s10_uuid_key_is_text
        s2_cancelling_one_of_two_subscribers_keeps_the_other
        s9_subscribing_again_after_a_drop
        s9_unsubscribing_from_a_deleted_object_succeeds
        s8_event_before_the_acknowledgement_is_delivered
        s14_stale_update_is_an_error_reply
        s3_failed_subscribe_is_not_replayed
        s7_object_deleted_during_an_outage_ends_its_subscription
        r8_custom_subscription_ids
    }
    slow_readers {
        s11_stalled_readers_delay_nothing
    }
    all_at_once {
        s12_unsubscribe_all
        s12_unsubscribe_all_offline
        s12_resubscribe
    }
    feeds {
        s13_feed_with_data_and_creates
        s13_creates_are_opt_in
        feed_of_keys_only
        s15_feed_as_in_the_documentation
        feed_with_an_argument
    }
    endpoints {
        f1_bare_endpoint
        f1_all_actions_on_a_bare_endpoint
        f1_lists_on_bare_endpoints
        f1_sends_and_listeners_on_a_bare_endpoint
        f1_bare_endpoint_survives_a_server_death
    }
    credentials {
        l6_two_rejections_in_a_row_close_the_client
        l7_failure_policy_refreshes_credentials
        l8_token_in_a_header
        l8_token_in_a_subprotocol
        l8_token_in_the_query
        l8_each_connection_uses_a_fresh_ticket
        l8_origin_defaults_to_the_server
        l8_session_cookie_of_a_login
    }
    connect {
        l14_connect_fails_with_the_first_error
        l14_connect_lazy_returns_at_once
        l14_idle_client_connects_on_open
        l14_invalid_url_is_not_dialled
        l5_gives_up_after_the_last_attempt
        l7_rejected_credentials_close_the_client
        l7_close_code_1012_reconnects_soon
        l7_other_close_codes_reconnect
        l4_hanging_dial_times_out
    }
    silence {
        l9_heartbeat_detects_a_frozen_server
        l10_probe_detects_a_frozen_server
    }
    close {
        c1_close_waits_for_replies_in_flight
        c1_close_waits_no_longer_than_its_timeout
        c1_close_can_unsubscribe_first
        c1_close_now_settles_at_once
        c1_close_offline_settles_at_once
        c1_close_aborts_a_dial
        c2_dropping_the_last_handle_releases_everything
        c2_dropping_the_last_handle_offline
        c2_runtime_shutdown_settles_everything
    }
    outage {
        r4_server_killed_with_requests_in_flight
        r4_unsent_requests_wait_for_the_next_connection
        r4_idempotent_request_is_repeated_at_most_once
        l2_planned_restart_of_the_server
    }
    chaos {
        network_faults_before_daphne
        network_faults_before_uvicorn
        daphne_restarts
        uvicorn_restarts
        connection_cut_at_every_byte
    }
    streams {
        unix_socket
    }
    reconnect {
        l13_force_reconnect
        l13_force_reconnect_ends_the_backoff
        s6_refreshed_subscriber_converges
        l12_poisoned_subscription_ends_and_others_continue
        f5_oversized_reply_fails_its_request_alone
    }
    tls {
        x2_client_certificate
        x2_server_certificate
    }
}

mod fake {
    scenarios! {
        on_fake
        actions {
            all_actions_on_a_model
            model_keyed_by_id
            model_keyed_by_uuid
            r7_validation_errors_are_readable
            r7_private_stream_replies_403_to_anonymous_client
            r7_missing_object_replies_404
            r7_unknown_action_replies_405
            r7_status_alone_makes_an_error_reply
            r4_consumer_crash_fails_the_request_and_reconnects
            paginated_list_decodes
            reply_of_another_type_is_a_decode_error
        }
        requests {
            r3_unanswered_request_times_out
            r3_late_reply_is_dropped_and_counted
            r6_replies_match_their_requests_in_any_order
            r9_reply_to_cancelled_request_is_dropped
            r8_custom_request_ids
            r11_oversized_request_is_rejected_by_the_call
            f2_unsolicited_message_is_an_event
        }
        resources {
            typed_actions
            typed_subscriptions
            feed_of_a_group
            r12_all_reads_the_pages_that_list_rejects
        }
        collections {
            v3_moved_row_leaves_its_group_and_enters_the_other
            v3_moved_row_stays_in_a_collection_of_both_groups
            v4_keys_are_fetched
            v10_forty_readers_need_one_list_per_connection
            v14_own_writes_are_seen_when_the_call_returns
        }
        replies {
            r12_streamed_list_is_read_to_the_end
            r12_dropped_streamed_list_is_cancelled
            r12_unknown_streamed_list_is_one_error
            r12_pages_are_requested_one_by_one
            r12_list_all_yields_every_object
        }
        messages {
            f2_listener_survives_a_reconnect
        }
        subscriptions {
            changes_of_an_object
            s10_delete_carries_the_configured_key
            s10_uuid_key_is_text
            s2_cancelling_one_of_two_subscribers_keeps_the_other
            s9_subscribing_again_after_a_drop
            s9_unsubscribing_from_a_deleted_object_succeeds
            s3_failed_subscribe_is_not_replayed
            s7_object_deleted_during_an_outage_ends_its_subscription
            r8_custom_subscription_ids
        }
        slow_readers {
            s11_stalled_readers_delay_nothing
        }
        all_at_once {
            s12_unsubscribe_all_offline
            s12_resubscribe
        }
        feeds {
            s13_feed_with_data_and_creates
            s13_creates_are_opt_in
            feed_of_keys_only
            s15_feed_as_in_the_documentation
            feed_with_an_argument
        }
        endpoints {
            f1_bare_endpoint
            f1_all_actions_on_a_bare_endpoint
            f1_lists_on_bare_endpoints
            f1_sends_and_listeners_on_a_bare_endpoint
        }
        credentials {
            l6_two_rejections_in_a_row_close_the_client
            l8_token_in_the_query
            l8_origin_defaults_to_the_server
        }
        connect {
            l14_connect_fails_with_the_first_error
            l14_connect_lazy_returns_at_once
            l14_idle_client_connects_on_open
            l14_invalid_url_is_not_dialled
            l5_gives_up_after_the_last_attempt
            l7_other_close_codes_reconnect
        }
        close {
            c1_close_waits_no_longer_than_its_timeout
            c1_close_offline_settles_at_once
            c2_runtime_shutdown_settles_everything
        }
        outage {
            r4_idempotent_request_is_repeated_at_most_once
        }
        reconnect {
            l13_force_reconnect_ends_the_backoff
            s6_refreshed_subscriber_converges
            l12_poisoned_subscription_ends_and_others_continue
            f5_oversized_reply_fails_its_request_alone
        }
    }
}
