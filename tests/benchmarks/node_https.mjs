// A plain sender on Node's own https, as one would write it: node node_https.mjs URL CA_FILE PAYLOAD
import { createReadStream, readFileSync } from 'node:fs';
import { request } from 'node:https';

const [url, caFile, payload] = process.argv.slice(2);
const boundary = '----HarperMultipart0123456789abcdef01234567';
const field = (name, value) =>
	`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const headers = {
	'Content-Type': `multipart/form-data; boundary=${boundary}`,
	'Transfer-Encoding': 'chunked',
	Authorization: 'Bearer t',
};
const sending = request(url, { method: 'POST', ca: readFileSync(caFile), headers }, (answer) => {
	answer.resume();
	answer.on('end', () => process.exit(answer.statusCode === 200 ? 0 : 1));
});
sending.write(
	field('operation', 'deploy_component') + field('project', 'demo') + field('replicated', 'false') +
		`--${boundary}\r\nContent-Disposition: form-data; name="payload"; filename="package.tar.gz"\r\n` +
		'Content-Type: application/gzip\r\n\r\n'
);
createReadStream(payload, { highWaterMark: 64 * 1024 })
	.on('end', () => sending.end(`\r\n--${boundary}--\r\n`))
	.pipe(sending, { end: false });
