// The texts of the page: [English, Korean], or one for both. {x} is replaced.

const TEXTS = {
	cameras: ['{n} cameras', '카메라 {n}대'], cameras_1: ['1 camera', '카메라 1대'],
	viewers: ['{n} viewers', '시청자 {n}명'], viewers_1: ['1 viewer', '시청자 1명'],
	back: ['All cameras', '모든 카메라'], pause: ['Pause {name}', '{name} 일시정지'],
	play: ['Play {name}', '{name} 재생'], snapshot: ['Snapshot of {name}', '{name} 스냅샷'],
	full: ['Full screen', '전체 화면'], info: ['Details of {name}', '{name} 자세히'],
	close: ['Close', '닫기'], copy: ['Copy', '복사'], copied: ['Copied.', '복사했습니다.'],
	tile: ['Camera {name}', '카메라 {name}'], paused: ['Paused', '일시정지'],
	connecting: ['Connecting', '연결 중'], live: ['Live', '실시간'],
	lost: ['Reconnecting', '다시 연결 중'],
	failed: ['This browser cannot play the stream',
		'이 브라우저는 이 스트림을 재생할 수 없습니다'],
	click: ['Click to play', '눌러서 재생'],
	use: ['Use {name} instead', '{name} 방식으로 보기'], lag: '{n} ms', fps: '{n} fps',
	no_server: ['The server does not answer. This page reconnects by itself.',
		'서버가 응답하지 않습니다. 자동으로 다시 연결합니다.'],
	log_in: ['Log in', '로그인'], log_out: ['Log out {name}', '{name} 로그아웃'],
	user: ['Name', '이름'], password: ['Password', '비밀번호'],
	login_wrong: ['The name or the password is wrong.', '이름이나 비밀번호가 틀렸습니다.'],
	login_slow: ['Too many attempts. Wait a minute.', '시도가 너무 많습니다. 잠시 뒤에 다시 하세요.'],
	open_local: ['No password: everyone on the local network can watch',
		'비밀번호 없음: 같은 네트워크의 누구나 볼 수 있습니다'],
	open_listed: ['No password: listed addresses can watch',
		'비밀번호 없음: 지정된 주소에서 볼 수 있습니다'],
	open_all: ['No password: everyone can watch', '비밀번호 없음: 누구나 볼 수 있습니다'],
	no_cameras: ['This server has no camera. Add a section [camera NAME] to its configuration.',
		'이 서버에는 카메라가 없습니다. 설정에 [camera 이름] 항목을 추가하세요.'],
	no_camera: ['This server has no camera with the name {name}.',
		'이 서버에는 {name} 카메라가 없습니다.'],
	no_snapshot: ['There is no picture yet.', '아직 영상이 없습니다.'],
	webcodecs: ['WebCodecs, lowest latency', 'WebCodecs(최소 지연)'],
	mse: ['MSE over WebSocket', 'MSE(WebSocket)'], mse_http: ['MSE over HTTP', 'MSE(HTTP)'],
	hls: 'HLS', mjpeg: 'MJPEG', img: ['MJPEG image', 'MJPEG 이미지'],
	snapshots: ['Snapshots', '스냅샷'], auto: ['Automatic', '자동'],
	playback: ['Playback', '재생'], transport: ['Transport', '전송 방식'],
	stream: ['Stream', '스트림'], state: ['State', '상태'], latency: ['Latency', '지연'],
	latency_value: ['{n} ms from capture to display', '{n} ms (촬영부터 표시까지)'],
	rate: ['Pictures', '초당 영상'], dropped: ['Dropped', '누락'],
	received: ['Received', '수신'], reconnects: ['Reconnects', '재연결'],
	lowest_no: ['The lowest latency (WebCodecs) needs HTTPS or localhost.',
		'최소 지연(WebCodecs)은 HTTPS나 localhost에서만 됩니다.'],
	camera: ['Camera', '카메라'], source: ['Source', '소스'], size: ['Size', '크기'],
	restarts: ['Restarts', '재시작'], restart: ['Restart camera', '카메라 재시작'],
	streams: ['Streams', '스트림'], codec: ['Codec', '코덱'], encoder: ['Encoder', '인코더'],
	bitrate: ['Bitrate', '비트레이트'], encode: ['Encoding', '인코딩'],
	idle: ['not in use', '쓰이지 않음'], viewers_title: ['Viewers', '시청자'],
	address: ['Address', '주소'], since: ['Since', '시작'],
	nobody: ['Nobody watches.', '보는 사람이 없습니다.'], more: ['{n} more', '외 {n}명'],
	pushes: ['Sent to other servers', '다른 서버로 보내기'],
	last_error: ['Last error', '마지막 오류'],
	controls: ['Controls', '조정'],
	no_control: ['Changes are off. Set control = yes in [daemon] to allow them.',
		'변경이 꺼져 있습니다. [daemon]에 control = yes를 설정하면 됩니다.'],
	no_controls: ['This source has no controls.', '이 소스에는 조정 항목이 없습니다.'],
	unchanged: ['as configured', '설정값'],
	elsewhere: ['Use it elsewhere', '다른 곳에서 보기'],
	embed: ['In a web page', '웹 페이지에 넣기'], camera_running: ['Running', '동작 중'],
	camera_starting: ['Starting', '시작 중'], camera_silent: ['No pictures', '영상 없음'],
	camera_failed: ['Failed', '실패'], camera_backoff: ['Waits to try again', '재시도 대기'],
	camera_stopped: ['Stopped', '멈춤'],
	do_starting: ['The camera is being opened.', '카메라를 여는 중입니다.'],
	do_silent: ['The camera is open, but delivers nothing. Check its cable, then restart it.',
		'카메라가 열렸지만 영상이 오지 않습니다. 케이블을 확인하고 재시작하세요.'],
	do_failed: ['camcastd restarts it. If that does not help, run camcast-doctor on the server.',
		'camcastd가 다시 시작합니다. 계속되면 서버에서 camcast-doctor를 실행하세요.'],
	do_backoff: ['camcastd tries again in {n} s. Run camcast-doctor on the server.',
		'{n}초 뒤 다시 시도합니다. 서버에서 camcast-doctor를 실행하세요.'],
	do_stopped: ['The server is stopping.', '서버가 멈추는 중입니다.'],
	keys: ['Keys', '단축키'], key_open: ['Open the camera', '카메라 열기'],
	key_move: ['Next camera', '다음 카메라'],
	key_number: ['Camera by number', '번호로 카메라 열기'],
	key_pause: ['Pause or play', '일시정지 또는 재생'], key_info: ['Details', '자세히'],
	control_off: ['The server refused: {text}', '서버가 거절했습니다: {text}'],
	done: ['Done.', '완료했습니다.'],
};

const LANGUAGES = ['en', 'ko'];
const wanted = (navigator.languages || [navigator.language]).map((name) => name.slice(0, 2));
export const language = wanted.find((name) => LANGUAGES.includes(name)) || 'en';

export function t(key, values = {}) {
	const text = [TEXTS[key]].flat();

	return (text[LANGUAGES.indexOf(language)] ?? text[0])
		.replace(/{(\w+)}/g, (all, name) => values[name] ?? all);
}

// A number with its noun: count('cameras', 1).
export function count(key, n) {
	return t(n === 1 ? `${key}_1` : key, { n: n.toLocaleString(language) });
}
