# Varnish in front of camcastd, for HLS and low-latency HLS (docs/SCALE.md). Debian: install this as
# /etc/varnish/default.vcl.
vcl 4.1;

backend camcast {
	.host = "127.0.0.1";
	.port = "8080";
	.first_byte_timeout = 40s;
}

sub vcl_recv {
	if (req.method != "GET" && req.method != "HEAD") {
		return (synth(405));
	}
	# Playlists, and what they name. Everything else is not for the public.
	if (req.url !~ "^/[A-Za-z0-9._-]+\.m3u8(\?|$)" &&
	    req.url !~ "^/[A-Za-z0-9._-]+/[0-9a-f]{8}/(init|s|p)-[0-9]+\.(mp4|m4s)$") {
		return (synth(404));
	}
	unset req.http.Cookie;
	unset req.http.Authorization;
	set req.http.Host = "localhost";
	return (hash);
}

sub vcl_backend_response {
	# An old playlist is of no use, and neither is an old error.
	set beresp.grace = 0s;
	set beresp.keep = 0s;
	if (beresp.status >= 500) {
		set beresp.ttl = 1s;
	}
	return (deliver);
}

sub vcl_backend_error {
	set beresp.ttl = 1s;
	set beresp.grace = 0s;
	return (deliver);
}
