// A plain sender on Node's own https, as one would write it:
// node node_https.mjs URL CA_FILE PAYLOAD PEERS
import { createReadStream, readFileSync } from 'node:fs';
import { request } from 'node:https';

const [url, caFile, payload, peers] = process.argv.slice(2);
const ca = readFileSync(caFile);
const boundary = '----HarperMultipart0123456789abcdef01234567';
const field = (name, value) =>
	`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const headers = {
	'Content-Type': `multipart/form-data; boundary=${boundary}`,
	'Transfer-Encoding': 'chunked',
	Authorization: 'Bearer t',
};
let left = Number(peers);
for (let peer = 0; peer < Number(peers); peer++) {
	const sending = request(url, { method: 'POST', ca, headers, agent: false }, (answer) => {
		if (answer.statusCode !== 200) process.exit(1);
		answer.resume();
		answer.on('end', () => --left || process.exit(0));
	});
	sending.write(
		field('operation', 'deploy_component') + field('project', 'demo') + field('replicated', 'false') +
			`--${boundary}\r\nContent-Disposition: form-data; name="payload"; filename="package.tar.gz"\r\n` +
			'Content-Type: application/gzip\r\n\r\n'
	);
	createReadStream(payload, { highWaterMark: 64 * 1024 })
		.on('end', () => sending.end(`\r\n--${boundary}--\r\n`))
		.pipe(sending, { end: false });
}
