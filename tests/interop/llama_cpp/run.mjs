// What llama.cpp makes of GGUF files. Reads requests as JSON from stdin, writes answers as JSON to stdout.
// Request: {model, texts: [string], prompts: [[id]], steps, logits: whether to give them}.
// Answer: {tokens: [[id]] of the texts, special tokens not looked for; logits: [[[float]]] after each token of each
// prompt, for all ids in order; greedy: [[id]] that follow each prompt; pieces: [string], the same as text}.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";
import path from "node:path";
import fs from "node:fs";

const packages = createRequire(path.join(process.cwd(), "package.json"));
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(packages.resolve("node-llama-cpp")).href);

const requests = JSON.parse(fs.readFileSync(0, "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 2});
const answers = [];
for (const request of requests) {
    const model = await llama.loadModel({modelPath: request.model, useMmap: false});
    const runs = [];
    for (const prompt of request.prompts) runs.push(await run(model, prompt, request));
    answers.push({
        tokens: request.texts.map((text) => model.tokenize(text, false)),
        logits: runs.map((made) => made.logits),
        greedy: runs.map((made) => made.chosen),
        pieces: runs.map((made) => model.detokenize(made.chosen, true))
    });
    await model.dispose();
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));

async function run(model, prompt, {steps, logits}) {
    const context = await model.createContext({
        contextSize: prompt.length + steps + 8,
        flashAttention: false,
        experimentalKvCacheKeyType: "F32",
        experimentalKvCacheValueType: "F32"
    });
    const sequence = context.getSequence();
    const wanted = {generateNext: {token: true, logits}};
    const results = await sequence.controlledEvaluate(prompt.map((token) => [token, wanted]));
    const chosen = [];
    let next = results.at(-1).next.token;
    while (chosen.length < steps) {
        chosen.push(next);
        const [result] = await sequence.controlledEvaluate([[next, {generateNext: {token: true}}]]);
        next = result.next.token;
    }
    await context.dispose();
    return {logits: logits ? results.map((result) => inOrder(result.next.logits)) : [], chosen};
}

function inOrder(map) {
    const values = [];
    for (const [token, logit] of map) values[token] = logit;
    return values;
}
