// The texts of the page, in English and Korean. {x} is replaced.

const EN = {
	cameras: '{n} cameras', cameras_1: '1 camera', viewers: '{n} viewers', viewers_1: '1 viewer',
	back: 'All cameras', pause: 'Pause {name}', play: 'Play {name}', snapshot: 'Snapshot of {name}',
	full: 'Full screen', info: 'Details of {name}', help: 'Keys', close: 'Close', copy: 'Copy',
	copied: 'Copied.', tile: 'Camera {name}', paused: 'Paused', connecting: 'Connecting',
	live: 'Live', lost: 'Reconnecting', off: 'Paused', failed: 'This browser cannot play the stream',
	click: 'Click to play', use: 'Use {name} instead', lag: '{n} ms', fps: '{n} fps',
	no_server: 'The server does not answer. This page reconnects by itself.',
	no_cameras: 'This server has no camera. Add a section [camera NAME] to its configuration.',
	no_camera: 'This server has no camera with the name {name}.',
	no_snapshot: 'There is no picture yet.',
	webcodecs: 'WebCodecs over WebSocket', mse: 'MSE over WebSocket', mse_http: 'MSE over HTTP',
	hls: 'HLS', mjpeg: 'MJPEG', img: 'MJPEG image', snapshots: 'snapshots', auto: 'automatic',
	playback: 'Playback', transport: 'Transport', stream: 'Stream', state: 'State',
	latency: 'Latency', latency_value: '{n} ms from capture to display', rate: 'Pictures',
	dropped: 'Dropped', received: 'Received', reconnects: 'Reconnects',
	lowest: 'Lowest latency (WebCodecs)', lowest_no: 'Lowest latency needs HTTPS or localhost.',
	camera: 'Camera', source: 'Source', size: 'Size', restarts: 'Restarts', restart: 'Restart camera',
	streams: 'Streams', codec: 'Codec', encoder: 'Encoder', bitrate: 'Bitrate',
	encode: 'Encoding', idle: 'not in use', viewers_title: 'Viewers', address: 'Address',
	since: 'Since', nobody: 'Nobody watches.', more: '{n} more',
	controls: 'Controls', no_control: 'Changes are off. Set control = yes in [daemon] to allow them.',
	no_controls: 'This source has no controls.', set: 'Set', unchanged: 'as configured',
	elsewhere: 'Use it elsewhere', embed: 'In a web page',
	camera_running: 'Running', camera_starting: 'Starting', camera_silent: 'No pictures',
	camera_failed: 'Failed', camera_backoff: 'Waits for a restart', camera_stopped: 'Stopped',
	do_starting: 'The camera is being opened.',
	do_silent: 'The camera is open, but delivers nothing. Check its cable, then restart it.',
	do_failed: 'camcastd restarts it. If that does not help, run camcast-doctor on the server.',
	do_backoff: 'camcastd tries again in {n} s. camcast-doctor on the server finds usual causes.',
	do_stopped: 'The server is stopping.',
	keys: 'Keys', key_open: 'open the camera', key_back: 'all cameras', key_move: 'next camera',
	key_number: 'camera by number', key_full: 'full screen', key_snapshot: 'snapshot',
	key_pause: 'pause or play', key_info: 'details',
	control_off: 'The server refused: {text}', done: 'Done.',
};

const KO = {
	cameras: '카메라 {n}대', cameras_1: '카메라 1대', viewers: '시청자 {n}명', viewers_1: '시청자 1명',
	back: '모든 카메라', pause: '{name} 일시정지', play: '{name} 재생', snapshot: '{name} 스냅샷',
	full: '전체 화면', info: '{name} 자세히', help: '단축키', close: '닫기', copy: '복사',
	copied: '복사했습니다.', tile: '카메라 {name}', paused: '일시정지', connecting: '연결 중',
	live: '실시간', lost: '다시 연결 중', off: '일시정지',
	failed: '이 브라우저는 이 스트림을 재생할 수 없습니다',
	click: '눌러서 재생', use: '{name} 방식으로 보기', lag: '{n} ms', fps: '{n} fps',
	no_server: '서버가 응답하지 않습니다. 자동으로 다시 연결합니다.',
	no_cameras: '이 서버에는 카메라가 없습니다. 설정에 [camera 이름] 항목을 추가하세요.',
	no_camera: '이 서버에는 {name} 카메라가 없습니다.',
	no_snapshot: '아직 영상이 없습니다.',
	webcodecs: 'WebCodecs(WebSocket)', mse: 'MSE(WebSocket)', mse_http: 'MSE(HTTP)',
	hls: 'HLS', mjpeg: 'MJPEG', img: 'MJPEG 이미지', snapshots: '스냅샷', auto: '자동',
	playback: '재생', transport: '전송 방식', stream: '스트림', state: '상태',
	latency: '지연', latency_value: '{n} ms (촬영부터 표시까지)', rate: '초당 영상',
	dropped: '누락', received: '수신', reconnects: '재연결',
	lowest: '최소 지연(WebCodecs)', lowest_no: '최소 지연은 HTTPS나 localhost에서만 됩니다.',
	camera: '카메라', source: '소스', size: '크기', restarts: '재시작', restart: '카메라 재시작',
	streams: '스트림', codec: '코덱', encoder: '인코더', bitrate: '비트레이트',
	encode: '인코딩', idle: '쓰이지 않음', viewers_title: '시청자', address: '주소',
	since: '시작', nobody: '보는 사람이 없습니다.', more: '외 {n}명',
	controls: '조정', no_control: '변경이 꺼져 있습니다. [daemon]에 control = yes를 설정하면 됩니다.',
	no_controls: '이 소스에는 조정 항목이 없습니다.', set: '적용', unchanged: '설정값',
	elsewhere: '다른 곳에서 보기', embed: '웹 페이지에 넣기',
	camera_running: '동작 중', camera_starting: '시작 중', camera_silent: '영상 없음',
	camera_failed: '실패', camera_backoff: '재시작 대기', camera_stopped: '멈춤',
	do_starting: '카메라를 여는 중입니다.',
	do_silent: '카메라가 열렸지만 영상이 오지 않습니다. 케이블을 확인하고 재시작하세요.',
	do_failed: 'camcastd가 다시 시작합니다. 계속되면 서버에서 camcast-doctor를 실행하세요.',
	do_backoff: '{n}초 뒤 다시 시도합니다. 서버의 camcast-doctor가 흔한 원인을 찾아 줍니다.',
	do_stopped: '서버가 멈추는 중입니다.',
	keys: '단축키', key_open: '카메라 열기', key_back: '모든 카메라', key_move: '다음 카메라',
	key_number: '번호로 카메라 열기', key_full: '전체 화면', key_snapshot: '스냅샷',
	key_pause: '일시정지 또는 재생', key_info: '자세히',
	control_off: '서버가 거절했습니다: {text}', done: '완료했습니다.',
};

const languages = (navigator.languages || [navigator.language]).map((name) => name.slice(0, 2));
export const language = languages.find((name) => name === 'en' || name === 'ko') || 'en';
const TEXTS = language === 'ko' ? KO : EN;

export function t(key, values = {}) {
	return TEXTS[key].replace(/{(\w+)}/g, (all, name) => values[name] ?? all);
}

// A number with its noun: count('cameras', 1).
export function count(key, n) {
	return t(n === 1 ? `${key}_1` : key, { n: n.toLocaleString(language) });
}
