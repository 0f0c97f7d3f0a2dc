"""Every bound of the gateway in one place: sizes, counts, windows and times.

Nothing in the gateway is unbounded (design promise 6): each queue, page, body, window and cache names its
limit here, and `[limits]` of the configuration overrides any of them by the same name.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of one gateway. Units are the last word of each name; counts have none."""

    # What one request may carry.
    body_bytes_max: int = 256 * 1024
    content_bytes_max: int = 64 * 1024
    attachment_bytes_max: int = 64 * 1024
    ext_bytes_max: int = 16 * 1024
    config_bytes_max: int = 16 * 1024
    json_depth_max: int = 32
    targets_max: int = 1_000
    hide_from_max: int = 20
    expire_max_s: int = 10 * 365 * 24 * 3600
    group_call_users_max: int = 1_000
    user_call_users_max: int = 1_000
    registrations_max: int = 100
    group_call_groups_max: int = 100
    name_bytes_max: int = 64
    text_bytes_max: int = 4 * 1024
    password_bytes_max: int = 256

    # What one app, user or group may hold.
    group_members_max: int = 5_000
    group_admins_max: int = 100
    group_bans_max: int = 5_000
    group_blocks_max: int = 5_000
    group_requests_max: int = 1_000
    user_requests_max: int = 1_000
    groups_per_user_max: int = 1_000
    rooms_per_user_max: int = 100
    room_history_max: int = 100
    devices_per_user_max: int = 20
    related_max: int = 100
    blocks_max: int = 1_000
    contacts_max: int = 3_000
    metadata_bytes_max: int = 4 * 1024
    credentials_max: int = 100

    # Pages and counts of answers.
    page_default: int = 20
    page_max: int = 100
    member_page_max: int = 1_000
    user_page_default: int = 50
    user_list_max: int = 1_000_000
    group_page_max: int = 100
    request_page_max: int = 100
    recent_max: int = 500
    unread_max: int = 999
    unread_scan_max: int = 3_000
    undelivered_max: int = 10_000
    record_page_max: int = 1_000
    record_page_bytes_max: int = 1024 * 1024
    look_scan_max: int = 1_000
    look_hours_max: int = 10_000
    look_bytes_max: int = 1024 * 1024
    answers_bytes_max: int = 64 * 1024 * 1024
    answers_wait_ms: int = 5_000
    untaken_bytes_max: int = 256 * 1024 * 1024

    # Files: what one may be, how many move at the same time, and what a form may carry beside one.
    file_bytes_max: int = 10 * 1024 * 1024
    file_name_bytes_max: int = 255
    uploads_max: int = 256
    uploads_per_app_max: int = 200
    upload_bytes_per_s_max: int = 32 * 1024 * 1024
    downloads_max: int = 1_000
    downloads_per_app_max: int = 750
    form_parts_max: int = 16
    form_part_bytes_max: int = 4 * 1024
    stray_blobs_kept_s: int = 3_600
    fetch_timeout_ms: int = 10_000
    fetches_max: int = 8

    # Thumbnails: a process of their own makes them, one at a time.
    thumbnail_side_max: int = 1_024
    thumbnail_source_bytes_max: int = 32 * 1024 * 1024
    thumbnail_pixels_max: int = 40_000_000
    thumbnail_memory_bytes_max: int = 1024 * 1024 * 1024
    thumbnail_timeout_ms: int = 10_000
    thumbnails_waiting_max: int = 64

    # The writer: one batch, and what may wait for one.
    batch_rows_max: int = 4_000
    batch_bytes_max: int = 4 * 1024 * 1024
    queue_rows_max: int = 40_000
    queue_bytes_max: int = 64 * 1024 * 1024
    conversations_behind_max: int = 20_000
    parties_held_max: int = 20_000
    read_marks_queue_max: int = 2_000
    reads_queue_max: int = 1_000

    # An app that sends faster than it may: how long a send waits for its turn, and how many of one app.
    rate_wait_ms: int = 1_000
    rate_waiting_max: int = 2_000

    # Jobs: work that is done in pages beside the live traffic.
    jobs_open_max: int = 1_000
    erase_page_max: int = 5_000
    job_page_max: int = 500
    job_retry_ms: int = 1_000
    broadcast_wait_ms: int = 1_000
    finished_jobs_kept_s: int = 30 * 24 * 3600

    # Retention and expiry: pages beside the live traffic, too.
    sweep_page_max: int = 100
    sweep_pause_ms: int = 10
    retention_sweep_ms: int = 60_000
    expiry_sweep_ms: int = 1_000

    # One device connection.
    frame_bytes_max: int = 320 * 1024
    transport_buffer_bytes_max: int = 128 * 1024
    replay_page_max: int = 200
    replay_page_bytes_max: int = 256 * 1024
    unacked_max: int = 500
    rooms_per_connection_max: int = 20
    connections_max: int = 200_000
    device_requests_per_s: int = 100
    device_requests_burst: int = 200
    signals_per_s: int = 20
    signals_burst: int = 40
    signal_bytes_max: int = 4 * 1024

    # Caches and queues of the process.
    cached_facts_max: int = 100_000
    cached_principals_max: int = 20_000
    cached_recents_max: int = 100_000
    cached_history_bytes_max: int = 16 * 1024 * 1024
    remembered_online_max: int = 10_000
    readers: int = 2
    hint_bytes_max: int = 8 * 1024
    publish_bytes_max: int = 256 * 1024
    bus_queue_max: int = 100_000
    bus_queue_bytes_max: int = 16 * 1024 * 1024
    password_queue_max: int = 64

    # A store on PostgreSQL: connections of one node, and how long it goes on trying.
    store_writers: int = 6
    store_readers: int = 4
    pool_wait_ms: int = 5_000
    statement_timeout_ms: int = 10_000
    batch_patience_ms: int = 20
    store_retry_ms: int = 5_000
    batch_retry_ms: int = 60_000

    # Times.
    header_timeout_ms: int = 10_000
    body_timeout_ms: int = 30_000
    body_bytes_per_s_min: int = 16 * 1024
    heartbeat_ms: int = 30_000
    auth_timeout_ms: int = 10_000
    ack_flush_ms: int = 200
    reorder_grace_ms: int = 20
    sweep_ms: int = 10_000
    sweep_busless_ms: int = 1_000
    beat_ms: int = 2_000
    node_timeout_ms: int = 8_000
    drain_ms: int = 10_000
    token_ttl_max_s: int = 10 * 365 * 24 * 3600
    request_ttl_s: int = 7 * 24 * 3600

    @property
    def idle_timeout_ms(self) -> int:
        """After this much silence a connection is closed: 2.5 heartbeats (design §6)."""
        return self.heartbeat_ms * 5 // 2
