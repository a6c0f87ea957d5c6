// Makes elements. All texts become text nodes: names of cameras are never read as HTML.

const SVG = 'http://www.w3.org/2000/svg';

const RING = 'M12 21a9 9 0 100-18 9 9 0 000 18z';
const ICONS = {
	back: 'M15 5l-7 7 7 7',
	pause: 'M8 5v14M16 5v14',
	play: 'M7 4l13 8-13 8z',
	snapshot: 'M3 8h4l2-3h6l2 3h4v11H3zM12 16.5a3.5 3.5 0 100-7 3.5 3.5 0 000 7z',
	full: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
	info: `M12 11v6M12 7.2v.1${RING}`,
	help: `M9.3 9.2a2.8 2.8 0 115 1.8c-.9.8-2.3 1.2-2.3 2.8M12 17v.1${RING}`,
	copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
	close: 'M6 6l12 12M18 6L6 18',
	camera: 'M3 7h12v10H3zM15 11l6-3.5v9L15 13z',
};

// An element with properties, attributes (names with a dash, role, for), listeners (onclick...),
// and children (nodes, texts, lists of them; false is left out).
export function el(tag, props = {}, ...children) {
	const element = document.createElement(tag);

	for (const [name, value] of Object.entries(props)) {
		if (name.includes('-') || name === 'role' || name === 'for')
			element.setAttribute(name, value);
		else
			element[name] = value;
	}
	element.append(...children.flat(Infinity).filter((child) => child !== false));
	return element;
}

export function icon(name) {
	const svg = document.createElementNS(SVG, 'svg');
	const path = document.createElementNS(SVG, 'path');

	svg.setAttribute('viewBox', '0 0 24 24');
	svg.setAttribute('aria-hidden', 'true');
	path.setAttribute('d', ICONS[name]);
	svg.append(path);
	return svg;
}

export function iconButton(name, label, onclick, props = {}) {
	return el('button', { type: 'button', className: 'icon', title: label, 'aria-label': label,
		onclick, ...props }, icon(name));
}

// Changes the picture and the label of an icon button, if they differ.
export function setIconButton(button, name, label) {
	if (button.getAttribute('aria-label') === label)
		return;
	button.replaceChildren(icon(name));
	button.title = label;
	button.setAttribute('aria-label', label);
}

// Draws a picture, or its pixels (ImageData), into a canvas, which takes its size.
export function draw(context, picture, width = picture.width, height = picture.height) {
	const { canvas } = context;

	if (canvas.width !== width || canvas.height !== height)
		Object.assign(canvas, { width, height });
	if (picture instanceof ImageData)
		context.putImageData(picture, 0, 0);
	else
		context.drawImage(picture, 0, 0, width, height);
}

// A video without sound, in the box.
export function addVideo(box, props) {
	const video = el('video', { muted: true, playsInline: true, disableRemotePlayback: true, ...props });

	box.append(video);
	return video;
}

export function removeVideo(video) {
	video.removeAttribute('src');
	video.load();
	video.remove();
}

// gesture(play): the browser wants a click.
export function playVideo(video, gesture) {
	video.play().catch((error) => {
		if (error.name === 'NotAllowedError')
			gesture(() => video.play());
	});
}

export function setText(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}
