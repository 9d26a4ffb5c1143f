// The emoji one can pick and complete: those people use, with the words by which they are found.

const LIST = `👍 thumbsup yes good|👎 thumbsdown no bad|❤️ heart love|😂 joy laugh tears|🎉 tada party|🙏 pray thanks please|👀 eyes look|🔥 fire hot|✅ check done|❌ cross no
😀 grin|😄 smile happy|😅 sweat|😊 blush|🙂 slight_smile|😉 wink|😍 heart_eyes|😘 kiss|😋 yum|😎 cool sunglasses|🤩 starstruck|🤔 thinking hmm|🤨 eyebrow|😐 neutral|🙄 eyeroll|😏 smirk|😴 sleep|😢 cry sad|😭 sob|😤 triumph|😡 angry|🤯 exploding mind|😱 scream|😳 flushed|🥶 cold|🥵 hot_face|🤒 sick|🤮 vomit|🥳 partying|🤗 hug|🤫 shush|🤐 zipper|🤓 nerd|🥺 pleading|😇 angel|🤠 cowboy|😬 grimace|🤷 shrug|🤦 facepalm
👋 wave hello bye|👌 ok|✌️ victory|🤞 fingers luck|🤝 handshake deal|👏 clap|🙌 hands hooray|💪 muscle strong|👉 right|👈 left|👆 up|👇 down|✋ hand stop|🤙 call|🫶 heart_hands|🧠 brain
💔 broken|💯 hundred|💥 boom|✨ sparkles|⭐ star|🌟 glow|⚡ zap lightning|💡 idea bulb|💤 zzz|🎂 cake birthday|🎁 gift|🏆 trophy|🥇 first medal|🎯 target|🎵 music|🎶 notes|🎮 game|⚽ football|🏀 basketball|🎨 art
☕ coffee|🍵 tea|🍺 beer|🍷 wine|🥂 cheers|🍕 pizza|🍔 burger|🍎 apple|🍌 banana|🍓 strawberry|🍪 cookie|🍫 chocolate|🍞 bread|🥗 salad|🍜 noodles|🍣 sushi
🐶 dog|🐱 cat|🦊 fox|🐻 bear|🐼 panda|🦁 lion|🐸 frog|🐵 monkey|🙈 see_no|🐦 bird|🐢 turtle|🐙 octopus|🐛 bug|🦋 butterfly|🐝 bee|🌱 seedling|🌳 tree|🌵 cactus|🌸 blossom|🌹 rose|🍀 clover
☀️ sun|🌙 moon|🌈 rainbow|☁️ cloud|🌧️ rain|❄️ snow|🌊 wave_sea|🏔️ mountain|🏖️ beach|🌍 earth world
🚀 rocket ship|✈️ plane|🚗 car|🚲 bike|🚆 train|⛵ boat|🏠 house home|🏢 office|⏰ alarm|⏳ hourglass|📅 calendar|📌 pin|📎 clip|✏️ pencil|📝 memo|📖 book|📚 books|📦 package|📈 chart up_chart|📉 down_chart|🔍 search|🔒 lock|🔑 key|🔨 hammer|🔧 wrench|⚙️ gear|💻 laptop|📱 phone|🖨️ printer|🔋 battery|🔔 bell|📣 megaphone|💬 speech|✉️ mail|💰 money|💸 spend|🛒 cart|🗑️ bin|⚠️ warning|🚧 construction|🚫 forbidden|❓ question|❗ exclamation|➕ plus|➖ minus|♻️ recycle|🆗 okay|🆕 new|🔴 red|🟡 yellow|🟢 green|🔵 blue|🏁 finish|🏳️ flag`;

export const GROUPS = LIST.split('\n').map((line) =>
  line.split('|').map((entry) => {
    const [emoji, ...words] = entry.split(' ');
    return { emoji, words };
  }),
);

const ALL = GROUPS.flat();

/** Those whose words begin so, then those that contain it. */
export function findEmoji(text, limit = 8) {
  const wanted = text.toLowerCase();
  const begins = ALL.filter(({ words }) => words.some((word) => word.startsWith(wanted)));
  const contains = ALL.filter(({ words }) => words.some((word) => word.includes(wanted, 1)));
  return [...new Set([...begins, ...contains])].slice(0, limit);
}
