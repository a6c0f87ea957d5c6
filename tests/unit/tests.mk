# Objects that unit tests link besides the project's libraries. EXTRA_test_X names objects of this folder,
# WRAPS_test_X the functions that the test replaces (ld's --wrap), and BENCH_TESTS test bench/lib.

# Tests on feed_rig, which stands between them and these functions.
FEED_RIG := test_http test_raw test_session test_session_range test_feed test_feed_lag \
	test_feed_log test_feed_policy test_loop test_loop_conn test_loop_crowd test_http_feed \
	test_hls_serve test_rtsp test_rtsp_tunnel test_rtsp_who \
	test_interleaved test_rtsp_udp test_rtsp_satip test_multicast test_sap
$(foreach t,$(FEED_RIG),$(eval EXTRA_$t := feed_rig)$(eval WRAPS_$t := \
	clock_gettime getsockopt sendfile splice send malloc calloc realloc aligned_alloc mmap))
EXTRA_test_rtsp += rtsp_rig
EXTRA_test_interleaved += rtsp_rig
EXTRA_test_rtsp_tunnel += rtsp_rig
EXTRA_test_rtsp_who += rtsp_rig
EXTRA_test_rtsp_udp += rtsp_rig open_fds
EXTRA_test_rtsp_satip += rtsp_rig
EXTRA_test_multicast += rtsp_rig
WRAPS_test_multicast += sendmmsg
EXTRA_test_sap += rtsp_rig
EXTRA_test_loop_conn += conn_rig
EXTRA_test_loop_crowd += conn_rig
EXTRA_test_session += talk_rig
EXTRA_test_session_range += talk_rig
WRAPS_test_loop += io_uring_queue_init_params
WRAPS_test_http += getpeername

# Tests that play the driver: every way from the encoder to the kernel goes through v4l2_sim.
V4L2_SIM := test_v4l2m2m test_v4l2_setup
$(foreach t,$(V4L2_SIM),$(eval EXTRA_$t := v4l2_sim v4l2_fixture)$(eval WRAPS_$t := \
	open close ioctl mmap munmap stat access))

# Tests with a worker of worker_rig.
MESSAGES_RIG := test_worker_messages test_worker_preambles test_worker_rates
WORKER_RIG := test_admission test_discovery test_status test_worker $(MESSAGES_RIG)
$(foreach t,$(WORKER_RIG),$(eval EXTRA_$t := worker_rig))
$(foreach t,$(MESSAGES_RIG),$(eval EXTRA_$t += messages_rig open_fds))
WRAPS_test_admission := getpeername
WRAPS_test_status := clock_gettime
WRAPS_test_worker := clock_gettime pidfd_send_signal
WRAPS_test_worker_preambles := malloc

# Tests of configurations.
EXTRA_test_config := config_rig
EXTRA_test_config_file := config_rig
EXTRA_test_config_mistakes := config_rig
EXTRA_test_discovery += config_rig open_fds
EXTRA_test_request := config_rig

# Tests of streams whose encoders are played.
EXTRA_test_ladder := stream_rig
EXTRA_test_stream := stream_rig
EXTRA_test_stream_copy := stream_rig

# Tests of SPSs, with trace_headers and x264.
EXTRA_test_sps := sps_rig
EXTRA_test_sps_read := sps_rig

# Tests of the libcamera source, with a camera that is played.
EXTRA_test_libcamera_jpeg := libcamera_rig
EXTRA_test_libcamera_source := libcamera_rig

# Tests that play recordings.
EXTRA_test_file_source := file_rig
EXTRA_test_file_loop := file_rig
EXTRA_test_file_both := file_rig

EXTRA_test_supervisor := supervisor_rig
EXTRA_test_supervisor_stop := supervisor_rig
EXTRA_test_encoders := encoder_rig
EXTRA_test_mqtt_session := mqtt_broker

# Tests of TLS, with a certificate and a client.
EXTRA_test_tls := tls_rig
EXTRA_test_tls_context := tls_rig
EXTRA_test_secure := tls_rig
EXTRA_test_handshakes := feed_rig tls_rig
EXTRA_test_tls_feed := feed_rig tls_rig
WRAPS_test_tls_feed := $(WRAPS_test_raw)
WRAPS_test_handshakes := $(WRAPS_test_raw)

WRAPS_test_closer := close
WRAPS_test_h264_writer := malloc calloc realloc
WRAPS_test_listen := bind poll
WRAPS_test_identity := poll
WRAPS_test_interfaces := getifaddrs freeifaddrs
WRAPS_test_keep := clock_gettime adjtimex
WRAPS_test_logwriter := pwritev memfd_create
WRAPS_test_reader := clock_gettime connect
WRAPS_test_segments := avio_open2
EXTRA_test_pair := open_fds
EXTRA_test_slots := open_fds
WRAPS_test_slots := open ioctl
WRAPS_test_spawn := poll
WRAPS_test_supervisor := pidfd_send_signal
WRAPS_test_supervisor_stop := pidfd_send_signal
WRAPS_test_worker_demand := clock_gettime

BENCH_TESTS := test_hist test_judge test_player test_rtp_sender test_rtsp_player test_udp_pair test_wire
