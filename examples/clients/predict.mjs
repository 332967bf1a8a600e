// Asks a service for the three best classes of a row, with the fetch of Node.js.
//
//     node predict.mjs http://localhost:8080 service1 5.1,3.5,1.4,0.2
const [url, service, row] = process.argv.slice(2);
const body = JSON.stringify({ service, parameters: { output: { best: 3 } }, data: [row] });
const answer = await fetch(`${url}/predict`, { method: 'POST', body });
const content = await answer.json();
if (!answer.ok) throw new Error(`${content.status.code}: ${content.status.dd_msg ?? content.status.msg}`);
console.log('answered by', answer.headers.get('X-Dede-Served-By'));
for (const { cat, prob } of content.body.predictions[0].classes) console.log(`class ${cat}: ${prob.toFixed(3)}`);
