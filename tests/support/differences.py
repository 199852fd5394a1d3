"""Where php-fpm does less than the tests ask of kraal: the one list, with the reason for each.

A test named here has to fail on php-fpm; if it does not, the entry is out of date and the run fails.
The name is that of the test function, or that of one case of it, as pytest prints it.
"""

_PARAMS = "php-fpm decodes every PARAMS record by itself: a pair must not go over its end"
_NO_SYSTEMD = "php-fpm does not take sockets from systemd"
_WAITS = "php-fpm waits for the rest until the web server leaves, though the body has ended"
_STOPS = "php-fpm ends what runs, unless process_control_timeout is set, and serves nobody until it is gone"
_PINNED = "php-fpm's worker belongs to its connection until that is closed"
_NO_SCRIBE = "php-fpm's workers write themselves"
_TAKEN_ALONG = "php-fpm's worker takes its connection along"

PHP_FPM_DIFFERS: dict[str, str] = {
    "test_values_longer_than_a_record_arrive": _PARAMS,
    "test_params_may_be_split_between_records_at_every_byte": _PARAMS,
    "test_params_may_come_in_records_of_one_byte": _PARAMS,
    "test_padding_is_skipped_in_the_empty_records_that_end_a_stream": "php-fpm takes it for a header",
    "test_an_idle_kept_connection_does_not_pin_the_worker": _PINNED,
    "test_half_a_request_does_not_pin_the_worker": _PINNED,
    "test_lazy_clients_cost_nobody_a_worker": _PINNED,
    "test_clients_that_send_byte_after_byte_cost_nobody_a_worker": _PINNED,
    "test_more_kept_connections_than_workers_are_served_alike": _PINNED,
    "test_work_after_the_answer_holds_up_no_kept_connection": _PINNED,
    "test_kept_connection_outlives_its_workers": _TAKEN_ALONG,
    "test_kept_connection_outlives_a_worker_that_is_told_to_leave": _TAKEN_ALONG,
    "test_status_of_shutdown_functions_is_logged": "php-fpm's line is made before they run",
    "test_control_characters_are_escaped": "php-fpm writes them as they are",
    "test_line_is_as_long_as_log_limit": "php-fpm cuts it at 1024 bytes, before 8.5",
    "test_request_is_not_run_when_its_client_has_left": "php-fpm runs it",
    "test_queue_is_as_deep_as_connections_wait[php-fpm-unix]": "php-fpm says 0 of Unix sockets",
    "test_an_unknown_management_type_is_named_in_the_answer": "php-fpm closes the connection",
    "test_an_unknown_role_is_refused": "php-fpm closes the connection",
    "test_a_second_request_at_the_same_time_is_refused": "php-fpm runs the first with the params so far",
    "test_an_aborted_request_ends[php-fpm-in the params]": "php-fpm runs it and waits for a body",
    "test_path_that_is_too_long_is_told": "php-fpm listens on the beginning of the path",
    "test_file_that_is_no_socket_is_left": "php-fpm removes it",
    "test_live_socket_that_may_not_be_asked_is_left": "php-fpm takes it for a stale one",
    "test_every_pool_has_its_own_settings": "php-fpm's pools share an OPcache with ini_get() folded in",
    "test_pools_do_not_see_each_others_scripts": "php-fpm's pools share an OPcache",
    "test_value_that_the_web_server_sent_is_undone_for_the_next_request": "in php-fpm it stays in the worker",
    "test_web_server_cannot_override_an_admin_value_of_the_pool": "with php-fpm it can",
    "test_sections_and_arrays_of_a_file_are_no_way_around": "php-fpm's worker crashes",
    "test_every_request_of_a_crowd_is_counted[php-fpm-kept connections]": "php-fpm counts their ends, too",
    "test_running_request_is_finished_while_others_see_the_new_configuration": _STOPS,
    "test_owner_and_mode_of_a_socket_follow_the_configuration": "php-fpm leaves them as they are",
    "test_socket_file_that_somebody_removed_is_there_again": "php-fpm listens where nobody can connect",
    "test_nothing_that_a_pool_says_can_be_taken_for_another_line": "php-fpm writes what it reads",
    "test_workers_have_nothing_open_that_is_another_pool_s": "php-fpm's share OPcache's lock and the log",
    "test_programs_that_scripts_start_inherit_nothing": "php-fpm passes on its socket and the connection",
    "test_next_start_serves_at_once_while_an_old_request_still_runs": "php-fpm's workers keep the address",
    "test_script_cannot_free_itself_through_the_socket_of_its_pool": "with php-fpm it can",
}

# Not run on php-fpm at all.
KRAAL_ONLY: dict[str, str] = {
    "test_body_of_negative_length_is_read_to_its_end": "php-fpm waits for more",
    "test_body_of_negative_length_is_not_read_beyond_the_limit": "php-fpm waits for more",
    "test_body_shorter_than_announced_is_served_as_it_is": _WAITS,
    "test_announced_length_above_the_limit_is_enough_to_drop_a_form": _WAITS,
    "test_upload_that_breaks_off_is_a_partial_file": _WAITS,
    "test_what_only_kraal_takes_for_malformed_closes_the_connection": "php-fpm takes it, and waits for more",
    "test_script_learns_of_an_abort_record_when_it_flushes": "php-fpm reads nothing while a script runs",
    "test_params_without_end_are_refused": "php-fpm has no limit but memory",
    "test_workers_leave_when_their_master_is_killed": "php-fpm's workers stay and go on serving",
    "test_the_master_never_loads_php": "php-fpm is PHP",
    "test_json_is_json_whatever_is_asked_for": "php-fpm has no format json",
    "test_no_line_is_lost_when_the_file_is_moved": "php-fpm ends its workers, and running requests with them",
    "test_request_id_is_that_of_the_web_server": "php-fpm knows none",
    "test_workers_do_not_wait_for_the_access_log": "php-fpm does not even start without a reader",
    "test_stopped_scribe_stops_no_worker": _NO_SCRIBE,
    "test_scribe_that_is_killed_is_replaced_and_loses_nothing": _NO_SCRIBE,
    "test_scribe_whose_reader_never_comes_does_not_outlive_the_server": _NO_SCRIBE,
    "test_full_disk_is_told_and_counted": "php-fpm's workers do not look whether it was written",
    "test_log_pipe_may_be_opened_again_without_a_reader": "php-fpm waits for a reader, and serves on",
    "test_workers_do_not_wait_for_the_log": "php-fpm's workers wait when their pipe is full",
    "test_lines_that_nobody_can_keep_are_counted": "php-fpm's workers wait when their pipe is full",
    "test_pid_file_moves_with_the_configuration": "php-fpm leaves the old one behind",
    "test_networks_are_allowed_as_well": "php-fpm knows addresses only",
    "test_systemd_passes_sockets_by_address": _NO_SYSTEMD,
    "test_systemd_passes_sockets_by_name": _NO_SYSTEMD,
    "test_systemd_s_socket_that_no_pool_wants_is_closed": _NO_SYSTEMD,
    "test_systemd_s_own_tool_starts_the_server_on_the_first_connection": _NO_SYSTEMD,
    "test_connections_that_wait_in_a_passed_socket_are_served": _NO_SYSTEMD,
    "test_passed_sockets_survive_the_way_to_the_background": _NO_SYSTEMD,
    "test_workers_do_not_hear_of_passed_sockets": _NO_SYSTEMD,
}
